"""
Fetch the newest commit of a branch.

It goes into a repository that has nothing but objects: no work tree, no hooks, no remote. That is made again if git cannot use it, since the server
has everything.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgsync.config.git_objects import TreeEntry
from imgsync.serve.declarations.git_command import GitCommand, GitError, GitLimits
from imgsync.text.sanitize import sanitize_short

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_FETCHED = "refs/imgsync/fetched"
# After this number of fetches, old objects are removed.
_PACKS_LIMIT = 24
# How far back to look whether a commit was made from another one.
_HISTORY = 100
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance", "--force")


class GitStore:
    """The objects of the newest commit."""

    def __init__(self, folder: Path, git: GitCommand, *, url: str, ref: str, limits: GitLimits) -> None:
        """Keep objects below *folder*, which must exist."""
        self._objects = folder / "objects.git"
        self._home = folder / "home"
        self._git = git
        self._url = url
        self._ref = ref
        self._limits = limits
        # The whole name of what was found last.
        self._name = ref

    def find_newest(self) -> str:
        """
        Return the commit that the branch or tag has now.

        Raises:
            GitError: The server does not answer in time, refuses, or has no such branch.
        """
        self._prepare()
        names = self._list_names()
        printed = self._git.talk("ls-remote", "--quiet", "--", self._url, *names, seconds=self._limits.ask_seconds).decode("utf-8", "replace")
        found = {name: commit for commit, _, name in (line.partition("\t") for line in printed.splitlines())}
        name = next((name for name in names if name in found), "")
        commit = found.get(name, "")
        self._name = name.removesuffix("^{}")
        if not _COMMIT.fullmatch(commit):
            raise GitError(f"{self._url}: there is no branch or tag {self._ref}", hint="it may have been deleted; --git-ref names another")
        return commit

    def fetch(self, commit: str) -> str:
        """
        Return the commit that was fetched, *commit* or a newer one.

        Raises:
            GitError: It cannot be fetched.
        """
        if self._has(commit):
            return commit
        try:
            return self._fetch()
        except GitError:
            # A process that was killed may have left a lock, or half of a file.
            self._remove()
            self._prepare()
            return self._fetch()

    def follows(self, commit: str, before: str) -> bool | None:
        """
        Return whether *commit* was made from the commit *before*.

        None if that cannot be found out.
        """
        with contextlib.suppress(GitError):
            lines = self._git.read("cat-file", "commit", commit, output_bytes=1 << 20).decode("utf-8", "replace").splitlines()
            if f"parent {before}" in lines:
                return True
        with tempfile.TemporaryDirectory(dir=self._objects.parent) as folder, contextlib.suppress(GitError):
            # Without files, and away from the others: git would ask for what is missing.
            directory = f"--git-dir={folder}"
            self._git.read(directory, "init", "--quiet", "--bare", "--template=")
            options = ("--depth", str(_HISTORY), "--filter=tree:0")
            self._git.talk(directory, *_FETCH, *options, "--", self._url, f"+{self._name}:{_FETCHED}", seconds=self._limits.ask_seconds)
            history = self._git.read(directory, "rev-list", f"--max-count={_HISTORY}", _FETCHED).decode().split()
            return before in history if commit in history else None
        return None

    def read_blobs(self, entries: Sequence[TreeEntry], *, limit_bytes: int) -> Iterator[tuple[TreeEntry, bytes]]:
        """
        Yield *entries* with their contents.

        Raises:
            GitError: git cannot read them, or they have more than *limit_bytes* together.
        """
        with tempfile.TemporaryFile() as names:
            names.write("".join(f"{entry.digest}\n" for entry in entries).encode())
            names.seek(0)
            printed = self._git.read("cat-file", "--batch", stdin=names, output_bytes=limit_bytes + 200 * len(entries))
        place = 0
        for entry in entries:
            end = printed.find(b"\n", place)
            digest, _, size = printed[place:end].decode("ascii", "replace").partition(" blob ")
            if end < 0 or digest != entry.digest:
                raise GitError(f"{self._url}: git has no content of {sanitize_short(entry.name)}")
            place = end + 1 + int(size)
            yield entry, printed[end + 1 : place]
            place += 1

    def _list_names(self) -> list[str]:
        if self._ref == "HEAD" or self._ref.startswith("refs/"):
            return [self._ref]
        # The commit of a tag that is an object of its own comes first.
        return [f"refs/heads/{self._ref}", f"refs/tags/{self._ref}^{{}}", f"refs/tags/{self._ref}"]

    def _fetch(self) -> str:
        self._git.talk(
            *("-c", "fetch.unpackLimit=1", "-c", "transfer.fsckObjects=false"),
            *(*_FETCH, "--depth", "1", "--", self._url, f"+{self._name}:{_FETCHED}"),
            seconds=self._limits.fetch_seconds,
        )
        commit = self._git.read("rev-parse", "--verify", "--quiet", "--end-of-options", f"{_FETCHED}^{{commit}}").decode("ascii", "replace").strip()
        if not _COMMIT.fullmatch(commit):
            raise GitError(f"{self._url}: {self._ref} does not name a commit")
        self._tidy()
        return commit

    def _has(self, commit: str) -> bool:
        try:
            self._git.read("cat-file", "-e", f"{commit}^{{tree}}")
        except GitError:
            return False
        return True

    def _tidy(self) -> None:
        """Remove what no commit needs any longer, now and then."""
        if sum(1 for _ in (self._objects / "objects" / "pack").glob("*.pack")) < _PACKS_LIMIT:
            return
        try:
            self._git.read("-c", "core.logAllRefUpdates=false", "repack", "-a", "-d", "-q")
            self._git.read("prune", "--expire=now")
        except GitError:
            # The next fetch begins from nothing.
            self._remove()
            self._prepare()
            self._fetch()

    def _prepare(self) -> None:
        self._home.mkdir(mode=0o700, exist_ok=True)
        if not (self._objects / "HEAD").is_file():
            self._git.read("init", "--quiet", "--bare", "--template=")

    def _remove(self) -> None:
        shutil.rmtree(self._objects, ignore_errors=True)
