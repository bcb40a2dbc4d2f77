"""What another commit of the same git repository declared, so that a pull request can be planned by what it changes (`plan --changed-since`)."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from imgsync.config.load import is_part, load_mirrors
from imgsync.config.model import Config
from imgsync.errors import UsageError

_SECONDS = 60
_REGULAR = {b"100644", b"100755"}


def changed_since(config: Config, paths: Sequence[str], commit: str) -> Config:
    """
    Return *config*, read from *paths*, with those mirrors alone whose declaration is not that of *commit*: new, or another, defaults included.

    Raises:
        UsageError: There is no such commit, or no git, here.
        ConfigError: What the commit declares is invalid.
    """
    before = {mirror.name: mirror.declaration for mirror in load_mirrors(_texts_at(_commit_id(commit), paths))}
    changed = tuple(mirror for mirror in config.mirrors if before.get(mirror.name) != mirror.declaration)
    return replace(config, mirrors=changed, whole=config.whole and len(changed) == len(config.mirrors))


def _commit_id(commit: str) -> str:
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}", accept=(0, 1, 128))
    text = found.decode("ascii", "replace").strip()
    if not text:
        raise UsageError(
            f"--changed-since {commit}: there is no such commit in this git repository",
            hint="fetch it first, such as `git fetch origin main`; actions/checkout does with `fetch-depth: 0`",
        )
    return text


def _texts_at(commit: str, paths: Sequence[str]) -> dict[str, bytes]:
    texts: dict[str, bytes] = {}
    for path in paths:
        folder = PurePosixPath(path)
        for line in _git("ls-tree", "-r", "-z", commit, "--", str(folder)).split(b"\0"):
            facts, _, name = line.decode("utf-8", "surrogateescape").partition("\t")
            found = PurePosixPath(name)
            # A folder's own files, as they would be read from it; or the file that was named.
            if name and facts.encode().split()[0] in _REGULAR and (found == folder or (found.parent == folder and is_part(found.name))):
                texts[name] = _git("cat-file", "blob", facts.split()[2])
    return texts


def _git(*arguments: str, accept: Sequence[int] = (0,)) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603, S607 - no shell; git as the user has it
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"--changed-since needs git, which cannot be run: {error}") from error
    if done.returncode not in accept or b"not a git repository" in done.stderr:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UsageError(f"--changed-since: git says: {said[-1] if said else f'exit code {done.returncode}'}", hint="run it inside the git repository")
    return done.stdout
