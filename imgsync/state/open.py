"""Open a state: create, lock and check it, or read a copy."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import diskcache

from imgsync.errors import LockedError, StateError
from imgsync.state.disk import PlainDisk
from imgsync.state.lock import hold_lock
from imgsync.state.preflight import (
    DATABASE,
    DamagedError,
    check_database,
    check_directory,
    check_files,
    connect_read_only,
    find_network_filesystem,
    list_database_files,
)
from imgsync.state.store import STORAGE_ERRORS, StateStore, Thread

_SETTINGS: dict[str, Any] = {
    # diskcache's defaults drop the oldest records past 1 GiB, and settings stored in the file override any that are missing here.
    "eviction_policy": "none",
    "cull_limit": 0,
    "size_limit": 2**62,
    "statistics": 0,
    "tag_index": 0,
    "sqlite_mmap_size": 0,
    # diskcache's 32 MiB bring nothing: each row is read once.
    "sqlite_cache_size": 512,
    "sqlite_journal_mode": "wal",
    "disk_min_file_size": 2**31,
}
# SQLite's `synchronous`: never wait for the disk, wait at each checkpoint, wait at each commit.
_OFF, _NORMAL, _FULL = range(3)
# Temporary folder inside the state directory.
_NEW = "new"


def _do_nothing() -> None:
    """Never stop waiting."""


@contextlib.contextmanager
def open_state(
    directory: str,
    *,
    thread: Thread,
    lock_timeout_seconds: float,
    on_warning: Callable[[str], None],
    read_only: bool = False,
    on_unreadable: Callable[[str], None] | None = None,
    check: Callable[[], None] = _do_nothing,
) -> Iterator[StateStore]:
    """
    Open and lock the state in *directory*; close it afterwards.

    A damaged state is moved aside with a warning, and the run starts with an empty one. `~` and `$` in *directory* are not expanded.
    With *read_only*, take no lock, create no directory, and read a copy. If that is not possible, call *on_unreadable* with the reason,
    by default with a warning, and give an empty state. *check* is called while waiting for the lock; it raises to give up.

    Raises:
        LockedError: Another run holds the lock for longer than *lock_timeout_seconds*.
        StateError: Others can write to the directory, or it cannot be created.
    """
    path = Path(directory).absolute()
    check_directory(path)
    with contextlib.ExitStack() as stack:
        cache = None
        if not read_only and _lock(path, lock_timeout_seconds, stack, on_warning, check):
            cache = _open_checked(path, thread, on_warning)
        store = (
            StateStore(cache, thread, on_warning=on_warning, persistent=True)
            if cache is not None
            else _open_copy(path, stack, thread, on_warning, on_unreadable)
        )
        stack.callback(store.close)
        yield store


def _lock(path: Path, timeout_seconds: float, stack: contextlib.ExitStack, on_warning: Callable[[str], None], check: Callable[[], None]) -> bool:
    """Create and lock the directory; return False if not writable."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        stack.enter_context(hold_lock(path / "lock", timeout_seconds=timeout_seconds, check=check))
    except BlockingIOError as error:
        raise LockedError(f"the state {path} is locked by another run", hint="wait for it to end, or set --lock-timeout") from error
    except (NotADirectoryError, FileExistsError) as error:
        raise StateError(f"cannot create the state directory {path}: {error.strerror}", hint="name another with --state") from error
    except OSError as error:
        on_warning(f"the state {path} is not writable ({error.strerror}); this run is not recorded")
        return False
    if kind := find_network_filesystem(path):
        on_warning(f"the state {path} is on {kind}, where a lock may not stop runs on other machines; use a local directory or a registry (oci://…)")
    return True


def _open_checked(path: Path, thread: Thread, on_warning: Callable[[str], None]) -> diskcache.Cache | None:
    """Open the database, or a new one; None if not writable."""
    try:
        with _new_database(path / _NEW) as new:
            try:
                check_files(path)
                if (path / DATABASE).exists():
                    check_database(path / DATABASE, like=new)
            except DamagedError as damage:
                aside = _move_aside(path)
                on_warning(f"the state is damaged ({damage.message}); moved it aside to {aside.name} and started an empty one")
            if not (path / DATABASE).exists():
                # Create it elsewhere and rename it: a run may be killed halfway.
                with new.open("rb") as file:
                    os.fsync(file.fileno())
                new.rename(path / DATABASE)
        return thread.run(lambda: _open_cache(path))
    except STORAGE_ERRORS as error:
        on_warning(f"the state is not writable ({error}); this run is not recorded")
        return None


def _open_copy(
    path: Path, stack: contextlib.ExitStack, thread: Thread, on_warning: Callable[[str], None], on_unreadable: Callable[[str], None] | None
) -> StateStore:
    """Open a copy, so that the state stays untouched."""
    if not (path / DATABASE).is_file():
        return StateStore(None, thread, on_warning=on_warning)
    try:
        copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imgsync-state-")))
        check_files(path)
        thread.run(lambda: _copy(path, copy))
        with _new_database(copy / _NEW) as new:
            check_database(copy / DATABASE, like=new)
        return StateStore(thread.run(lambda: _open_cache(copy, persistent=False)), thread, on_warning=on_warning)
    except DamagedError as damage:
        reason = f"the state in {path} is damaged ({damage.message})"
    except STORAGE_ERRORS as error:
        reason = f"cannot read the state in {path} ({error})"
    if on_unreadable is not None:
        on_unreadable(reason)
    else:
        on_warning(f"{reason}; ignoring it")
    return StateStore(None, thread, on_warning=on_warning)


def _copy(path: Path, target: Path) -> None:
    """Copy the unchecked database in *path* in one consistent step."""
    try:
        with contextlib.closing(connect_read_only(path / DATABASE)) as old, contextlib.closing(sqlite3.connect(target / DATABASE)) as new:
            old.backup(new)
    except sqlite3.OperationalError:
        # SQLite cannot read in a read-only or full directory. No one writes there either, so copy the files.
        for name in (DATABASE, f"{DATABASE}-wal"):
            if (path / name).exists():
                shutil.copyfile(path / name, target / name)


@contextlib.contextmanager
def _new_database(folder: Path) -> Iterator[Path]:
    """Create *folder* with an empty database; delete it afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        _open_cache(folder, persistent=False).close()
        if len(list_database_files(folder)) > 1:
            # Data that found no space in the main file is still in the log file; closing reports no error.
            raise sqlite3.OperationalError("database or disk is full")
        yield folder / DATABASE
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _open_cache(path: Path, *, persistent: bool = True) -> diskcache.Cache:
    """Open the database in *path*; a *persistent* one survives a power failure."""
    text = str(path)
    if "$" in text:
        # diskcache would expand it as a variable and write elsewhere.
        raise StateError(f"the state directory {text} has '$' in its name", hint="name another with --state")
    mask = os.umask(0o077)
    try:
        cache = diskcache.Cache(text, timeout=60, disk=PlainDisk, sqlite_synchronous=_NORMAL if persistent else _OFF, **_SETTINGS)
    finally:
        os.umask(mask)
    if persistent:
        # Only now: diskcache writes its settings one by one, and they need no sync.
        cache.reset("sqlite_synchronous", _FULL)
    return cache


def _move_aside(path: Path) -> Path:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    aside = path.with_name(f"{path.name}.broken-{moment}")
    aside.mkdir(mode=0o700)
    for part in list_database_files(path):
        part.rename(aside / part.name)
    return aside
