"""
Follow declarations in a branch of a git repository.

Of each commit, the declarations are written into a folder of their own, from where they are loaded like any others. That of the last good commit
is kept, so that a start without a network, or with a broken commit, has something to begin with.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from imgsync.config.model import Config
from imgsync.errors import ConfigError, FileError, ImgsyncError, StateError
from imgsync.logs.logger import Logger
from imgsync.serve.declarations.folder import add_facts, read_facts
from imgsync.serve.declarations.follower import Declarations, LoadDeclarations
from imgsync.serve.declarations.git_command import GitAccess, GitCommand, GitLimits
from imgsync.serve.declarations.git_files import find_declarations, write_declarations
from imgsync.serve.declarations.git_store import GitStore
from imgsync.serve.declarations.git_url import check_git_path, check_git_ref, parse_git_url
from imgsync.system.atomic_write import write_atomically
from imgsync.system.dataclass import dataclass

# Of processes that share a state's folder, each has a place of its own.
_PLACES = 16
_GOOD = "good"


@dataclass(frozen=True, slots=True)
class GitTarget:
    """
    What to follow: a branch or tag, and paths in it.

    `lock_folder` None means that no locks are used.
    """

    url: str
    ref: str = "main"
    paths: Sequence[str] = ("mirrors.d",)
    interval_seconds: float = 60.0
    lock_folder: str | None = None


class GitFollower:
    """
    Returns the declarations of the newest commit.

    A commit that was read is not fetched again, also if it was broken.
    """

    def __init__(
        self,
        target: GitTarget,
        folder: Path,
        load: LoadDeclarations,
        *,
        access: GitAccess,
        log: Logger,
        others: Sequence[str] = (),
        limits: GitLimits | None = None,
    ) -> None:
        """
        Follow *target*, and keep what is needed below *folder*.

        Args:
            target: The repository.
            folder: Made if it is missing; for this user alone.
            load: Loads declarations.
            access: How git logs in.
            log: Receives a note if the branch was rewritten.
            others: Files that *load* reads besides, such as registries.yaml.
            limits: What git may use.

        Raises:
            UsageError: The address, the branch or a path makes no sense, or git is missing.
            StateError: The folder cannot be used.
        """
        limits = limits or GitLimits()
        url = parse_git_url(target.url)
        self._paths = [check_git_path(path) for path in target.paths]
        self._lock_folder = None if target.lock_folder is None else check_git_path(target.lock_folder, option="--lock-dir")
        self._load = load
        self._log = log
        self._folder, self._claim = _claim_folder(folder / _short_name(target))
        self._versions = self._folder / "versions"
        self._git = GitCommand(self._folder, url, access, limits=limits)
        self._store = GitStore(self._folder, self._git, url=url.text, ref=check_git_ref(target.ref), limits=limits)
        self._refused: tuple[FileError, ...] = ()
        self._read_commit = ""
        self._good = self._read_good()
        self._begins = True
        # The newest commit was to be read again while the repository could not be read.
        self._owes_reading = False
        self._others, self._facts = tuple(others), read_facts(others)
        # The files of secrets that registries.yaml names.
        self._named: tuple[str, ...] = ()
        self.origin = f"{url.text} {target.ref}"
        self.interval_seconds = target.interval_seconds

    def poll(self, *, must_read: bool = False) -> Declarations | None:
        """
        Return the declarations, None if there is no other commit.

        Raises:
            ImgsyncError: The repository cannot be read; what was read before stays valid.
        """
        begins, self._begins = self._begins, False
        facts, self._facts = self._facts, read_facts((*self._others, *self._named))
        is_asked = must_read or facts != self._facts
        must_read = is_asked or self._owes_reading
        try:
            newest = self._store.find_newest()
            if newest == self._read_commit and not must_read:
                return None
            if newest != self._read_commit:
                self._take(newest)
        except ImgsyncError as error:
            known = self._load_good() if begins or is_asked else None
            self._owes_reading = must_read
            if known is None:
                raise
            return replace(known, fault=error.message)
        self._owes_reading = False
        return self._load_newest(falls_back=begins or must_read)

    def close(self) -> None:
        """End git, and let others use the folder."""
        self._git.close()
        self._claim.close()

    def _take(self, newest: str) -> None:
        """Have the declarations of *newest* in a folder."""
        before, commit = self._read_commit, newest
        refused: tuple[FileError, ...] = ()
        if not (self._versions / newest).is_dir():
            commit = self._store.fetch(newest)
            try:
                entries = find_declarations(self._git.read, commit, self._paths, self._lock_folder)
                write_declarations(self._store, entries, self._versions / commit)
            except ConfigError as error:
                refused = error.errors
            except OSError as error:
                raise StateError(f"cannot write below {self._versions}: {error.strerror}", hint="the disk may be full") from error
        self._read_commit, self._refused = commit, refused
        self._remove_versions()
        if before and before != commit and self._store.follows(commit, before) is False:
            self._log.warning("declarations.rewritten", before=before, revision=commit)

    def _load_newest(self, *, falls_back: bool) -> Declarations:
        commit = self._read_commit
        found = Declarations(None, self._refused, commit) if self._refused else self._load_version(commit)
        if found.config is not None:
            self._note_good(commit)
            return found
        known = self._load_good() if falls_back and self._good != commit else None
        return found if known is None else replace(known, errors=found.errors, failed_revision=commit)

    def _load_good(self) -> Declarations | None:
        """Return the last good declarations, if they still are."""
        if not self._good or not (self._versions / self._good).is_dir():
            return None
        found = self._load_version(self._good)
        return None if found.config is None else found

    def _load_version(self, commit: str) -> Declarations:
        root = self._versions / commit
        try:
            config, locks = self._load([str(root / path) for path in self._paths], folder=str(root))
        except ConfigError as error:
            return Declarations(None, _name_in_repository(error.errors, root), commit)
        if config.registries.files != self._named:
            self._named = config.registries.files
            self._facts = add_facts(self._facts, (*self._others, *self._named))
        return Declarations(_place_in_repository(config, root), revision=commit, locks=locks)

    def _note_good(self, commit: str) -> None:
        if commit == self._good:
            return
        self._good = commit
        # Without it, a start has nothing to begin with; nothing else depends on it.
        with contextlib.suppress(OSError):
            write_atomically(self._folder / _GOOD, [commit.encode()])
        self._remove_versions()

    def _remove_versions(self) -> None:
        """Keep the newest version and the last good one."""
        with contextlib.suppress(OSError):
            for one in self._versions.iterdir():
                if one.name not in {self._good, self._read_commit}:
                    shutil.rmtree(one, ignore_errors=True)

    def _read_good(self) -> str:
        try:
            name = (self._folder / _GOOD).read_text(encoding="ascii")
        except (OSError, ValueError):
            return ""
        return name if name.isalnum() else ""


def _short_name(target: GitTarget) -> str:
    text = "\0".join((target.url, target.ref, *target.paths, target.lock_folder or ""))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _claim_folder(folder: Path) -> tuple[Path, IO[bytes]]:
    """
    Return a folder for this process alone, and its lock.

    Raises:
        StateError: There is none.
    """
    try:
        for number in range(_PLACES):
            place = folder / str(number)
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = (place / "lock").open("ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                continue
            return place, file
    except OSError as error:
        raise StateError(f"cannot use {folder}: {error.strerror}", hint="--state names the folder below which it is") from error
    raise StateError(f"{_PLACES} other processes use {folder}", hint="give this one another --state")


def _name_in_repository(errors: Sequence[FileError], root: Path) -> tuple[FileError, ...]:
    """Return *errors* with files as they are named in the repository."""
    prefix = f"{root}{os.sep}"
    return tuple(
        error._replace(file=error.file.removeprefix(prefix), message=error.message.replace(prefix, ""), hint=error.hint.replace(prefix, "")) for error in errors
    )


def _place_in_repository(config: Config, root: Path) -> Config:
    """Return *config* as if it had been read in the repository."""
    prefix = f"{root}{os.sep}"
    return replace(
        config,
        mirrors=tuple(replace(mirror, file=mirror.file.removeprefix(prefix)) for mirror in config.mirrors),
        files=tuple(file.removeprefix(prefix) for file in config.files),
        warnings=_name_in_repository(config.warnings, root),
    )
