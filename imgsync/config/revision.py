"""
Compare declarations with another commit, for `plan --changed-since`.

Only git commands that read objects are used, with what the repository's own configuration could start switched off (git_objects.py).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from imgsync.config.git_objects import OFFLINE, SETTINGS, is_declaration, list_entries
from imgsync.config.load import load_mirrors
from imgsync.config.model import Config
from imgsync.errors import ConfigError, UsageError

_SECONDS = 60
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_FETCH = "fetch it first, such as `git fetch origin main`; actions/checkout does with `fetch-depth: 0`"


def select_changed_mirrors(config: Config, paths: Sequence[str], commit: str, *, on_warning: Callable[[str], None], lock_folder: str | None = None) -> Config:
    """
    Return *config* with only the mirrors that changed since *commit*.

    New mirrors and changed defaults count, and so do changed files of *lock_folder*, None if no lock is used. If the declarations at *commit* are
    invalid, every mirror counts as changed, with a warning.

    Raises:
        UsageError: The commit or git is missing, or one of *paths* is outside the repository.
    """
    top = Path(_run_git("rev-parse", "--show-toplevel").decode("utf-8", "surrogateescape").removesuffix("\n"))
    folders = [_relative_to(top, path) for path in paths]
    found = _find_commit(commit)
    texts = {name: text for folder in folders for name, text in _read_files(found, folder, top)}
    try:
        before = {mirror.name: mirror.declaration_digest for mirror in load_mirrors(texts)}
    except ConfigError as error:
        on_warning(f"the declarations at {commit} are invalid, so every mirror counts as changed: {error.errors[0]}")
        return config
    relocked = frozenset[str]() if lock_folder is None else _find_changed_locks(config, found, lock_folder, top)
    return config.filter(lambda mirror: before.get(mirror.name) != mirror.declaration_digest or mirror.name in relocked)


def _find_changed_locks(config: Config, commit: str, folder: str, top: Path) -> frozenset[str]:
    """Return the mirrors whose lock differs from the one at *commit*."""
    before = {PurePosixPath(name).stem: text for name, text in _read_files(commit, _relative_to(top, folder), top)}
    files = {mirror.name: Path(folder) / f"{mirror.name}.yaml" for mirror in config.mirrors}
    # A lock that cannot be read is reported when it is loaded.
    return frozenset(name for name, file in files.items() if not file.is_file() or file.read_bytes() != before.get(name))


def _relative_to(top: Path, path: str) -> PurePosixPath:
    """Return *path* relative to the repository at *top*."""
    whole = Path(path).resolve()
    if not whole.is_relative_to(top.resolve()):
        raise UsageError(f"--changed-since: {path} is outside the git repository {top}", hint="run it inside the git repository with the declarations")
    return PurePosixPath(whole.relative_to(top.resolve()))


def _find_commit(commit: str) -> str:
    # Accept a missing commit: our message says more than git's.
    found = _run_git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}", accept=(0, 1, 128))
    text = found.decode("ascii", "replace").strip()
    if not _COMMIT.fullmatch(text):
        raise UsageError(f"--changed-since {commit}: no such commit in this git repository", hint=_FETCH)
    return text


def _read_files(commit: str, folder: PurePosixPath, top: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files in *folder* at *commit*."""
    run_git = partial(_run_git, folder=top)
    for entry in list_entries(run_git, commit, folder):
        if entry.is_regular and is_declaration(entry, folder):
            yield entry.name, run_git("cat-file", "blob", entry.digest)


def _run_git(*arguments: str, accept: Sequence[int] = (0,), folder: Path | None = None) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            ["git", *SETTINGS, *arguments],  # noqa: S607 - git as the user has it
            cwd=folder,
            env={**os.environ, **OFFLINE},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"--changed-since cannot run git: {error}", hint="install git, or plan without --changed-since") from error
    if done.returncode not in accept:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        hint = "run it inside the git repository with the declarations" if "not a git repository" in done.stderr.decode("utf-8", "replace") else _FETCH
        raise UsageError(f"--changed-since: git failed: {lines[-1] if lines else f'exit code {done.returncode}'}", hint=hint)
    return done.stdout
