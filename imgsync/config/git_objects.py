"""
Read the files of a commit from its objects.

No file is checked out. So filters, attributes, hooks and submodules have no effect, and links are not followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Protocol

from imgsync.config.files import is_config_file
from imgsync.system.dataclass import dataclass

_REGULAR = {"100644", "100755"}
_LINK = "120000"
_FOLDER = "040000"

# A repository's own configuration can name programs, so those that reading could start are switched off.
SETTINGS = ("--no-pager", "--no-replace-objects", "--literal-pathspecs", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
OFFLINE = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    # Fetch nothing for a partial clone. Git before 2.45 only knows the second, which forbids every transport.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
}


class RunGit(Protocol):
    """Runs git with arguments, and returns what it prints."""

    def __call__(self, *arguments: str) -> bytes:
        """Return stdout; errors are those of the implementation."""


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """
    One name in a folder of a commit.

    `name` is the whole path; bytes that are not UTF-8 are surrogates. `size_bytes` is 0 if it was not asked for.
    """

    mode: str
    digest: str
    name: str
    size_bytes: int = 0

    @property
    def is_regular(self) -> bool:
        """Return whether it is a file, not a link or another repository."""
        return self.mode in _REGULAR

    @property
    def is_link(self) -> bool:
        """Return whether it is a symbolic link."""
        return self.mode == _LINK

    @property
    def is_folder(self) -> bool:
        """Return whether it is a folder."""
        return self.mode == _FOLDER


def list_entries(run_git: RunGit, commit: str, path: PurePosixPath, *, with_sizes: bool = False) -> Iterator[TreeEntry]:
    """Yield what is at *path* in *commit*, or directly in it."""
    pathspecs = [] if path == PurePosixPath() else ["--", str(path), f"{path}/"]
    options = ["-l"] if with_sizes else []
    for line in run_git("ls-tree", "-z", *options, "--full-tree", commit, *pathspecs).decode("utf-8", "surrogateescape").split("\0"):
        facts, _, name = line.partition("\t")
        if name:
            mode, _, digest, *size = facts.split()
            yield TreeEntry(mode, digest, name, int(size[0]) if size and size[0].isdecimal() else 0)


def is_declaration(entry: TreeEntry, path: PurePosixPath) -> bool:
    """Return whether *entry* is configuration, if *path* was asked for."""
    return entry.name == str(path) or is_config_file(entry.name.rpartition("/")[2])
