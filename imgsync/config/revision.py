"""
What another commit of the same git repository declared, so that a pull request can be planned by what it changes (`plan --changed-since`).

Git is asked for objects by commands that read nothing else. Its configuration is the repository's, and can name programs: those that reading
could come to (a file-system monitor, the transports by which a partial clone gets what it lacks) are switched off.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from imgsync.config.load import is_part, load_mirrors
from imgsync.config.model import Config
from imgsync.errors import ConfigError, UsageError

_SECONDS = 60
_REGULAR = {"100644", "100755"}
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_FETCH = "fetch it first, such as `git fetch origin main`; actions/checkout does with `fetch-depth: 0`"
_SETTINGS = ("--no-pager", "--no-replace-objects", "--literal-pathspecs", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    # What a partial clone lacks is not fetched in passing; git before 2.45 knows the second alone, which leaves no transport to fetch by.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
}


def changed_since(config: Config, paths: Sequence[str], commit: str, *, on_warning: Callable[[str], None]) -> Config:
    """
    Return *config*, read from *paths*, with those mirrors alone whose declaration is not that of *commit*: new, or another, defaults included.

    Where what the commit declares is invalid every mirror counts as changed, and *on_warning* is told.

    Raises:
        UsageError: There is no such commit, or no git, here, or a path is outside of the repository.
    """
    top = Path(_git("rev-parse", "--show-toplevel").decode("utf-8", "surrogateescape").removesuffix("\n"))
    folders = [_below(top, path) for path in paths]
    found = _commit_id(commit)
    texts = {name: text for folder in folders for name, text in _texts_at(found, folder, top)}
    try:
        before = {mirror.name: mirror.declaration for mirror in load_mirrors(texts)}
    except ConfigError as error:
        on_warning(f"what {commit} declares is invalid, so every mirror counts as changed: {error.errors[0]}")
        return config
    return config.part(lambda mirror: before.get(mirror.name) != mirror.declaration)


def _below(top: Path, path: str) -> PurePosixPath:
    """Return where *path* is in the repository at *top*."""
    whole = Path(path).resolve()
    if not whole.is_relative_to(top.resolve()):
        raise UsageError(f"--changed-since: {path} is outside of the git repository {top}", hint="run it inside the git repository that holds the declarations")
    return PurePosixPath(whole.relative_to(top.resolve()))


def _commit_id(commit: str) -> str:
    # None there is no error to git, whose word on it would tell less than ours.
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}", accept=(0, 1, 128))
    text = found.decode("ascii", "replace").strip()
    if not _COMMIT.fullmatch(text):
        raise UsageError(f"--changed-since {commit}: there is no such commit in this git repository", hint=_FETCH)
    return text


def _texts_at(commit: str, folder: PurePosixPath, top: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files that *folder* had at *commit*, as they would be read from it; or the file, if it is one."""
    # The folder itself, and what is in it but not deeper.
    wanted = [] if folder == PurePosixPath() else ["--", str(folder), f"{folder}/"]
    for line in _git("ls-tree", "-z", "--full-tree", commit, *wanted, folder=top).decode("utf-8", "surrogateescape").split("\0"):
        facts, _, name = line.partition("\t")
        found = PurePosixPath(name)
        if name and facts.split()[0] in _REGULAR and (found == folder or is_part(found.name)):
            yield name, _git("cat-file", "blob", facts.split()[2], folder=top)


def _git(*arguments: str, accept: Sequence[int] = (0,), folder: Path | None = None) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            ["git", *_SETTINGS, *arguments],  # noqa: S607 - git as the user has it
            cwd=folder,
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"--changed-since needs git, which cannot be run: {error}", hint="install git, or plan everything") from error
    if done.returncode not in accept:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        hint = "run it inside the git repository that holds the declarations" if "not a git repository" in done.stderr.decode("utf-8", "replace") else _FETCH
        raise UsageError(f"--changed-since: git says: {said[-1] if said else f'exit code {done.returncode}'}", hint=hint)
    return done.stdout
