"""Opening a state: made, locked and checked, or read as a copy; whatever is damaged or hostile is set aside before it can act."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import diskcache
import filelock

from imgsync.errors import LockedError, StateError
from imgsync.state.disk import PlainDisk
from imgsync.state.preflight import DATABASE, DamagedError, check_database, check_directory, check_files, network_of, parts, read_only
from imgsync.state.store import UNUSABLE, StateStore, Thread

_SETTINGS: dict[str, Any] = {
    # The defaults would drop the oldest records past 1 GiB, and the file's own settings win over what is not said here.
    "eviction_policy": "none",
    "cull_limit": 0,
    "size_limit": 2**62,
    "statistics": 0,
    "tag_index": 0,
    "sqlite_mmap_size": 0,
    "sqlite_journal_mode": "wal",
    "disk_min_file_size": 2**31,
}
# When SQLite waits for the disk: never, when it moves what it wrote into the one file, with each commit.
_OFF, _NORMAL, _FULL = range(3)
# Below a state's directory, while it is opened.
_NEW = "new"


# How long it takes to notice that another run has ended.
_LOOK_SECONDS = 0.05


def _nothing() -> None:
    """Nobody ends the waiting."""


@contextlib.contextmanager
def open_state(
    directory: str,
    *,
    thread: Thread,
    lock_timeout_seconds: float,
    on_warning: Callable[[str], None],
    read_only: bool = False,
    check: Callable[[], None] = _nothing,
) -> Iterator[StateStore]:
    """
    Give the state in *directory*, locked against a second run, and close it in the end.

    *read_only* takes no lock, makes no directory, and reads a copy. A damaged or hostile state is set aside with a
    warning and begun anew. A relative path is below the working folder; `~` and `$` are not expanded. *check* is asked while the lock is
    waited for, and raises to give up.

    Raises:
        LockedError: Another run holds it for longer than *lock_timeout_seconds*.
        StateError: The directory is not ours alone to write.
    """
    path = Path(directory).absolute()
    check_directory(path)
    with contextlib.ExitStack() as stack:
        cache = None
        if not read_only and _lock(path, lock_timeout_seconds, stack, on_warning, check):
            cache = _open_sound(path, thread, on_warning)
        store = StateStore(cache, thread, on_warning=on_warning, lasting=True) if cache is not None else _open_copy(path, stack, thread, on_warning)
        stack.callback(store.close)
        yield store


def _lock(path: Path, timeout_seconds: float, stack: contextlib.ExitStack, on_warning: Callable[[str], None], check: Callable[[], None]) -> bool:
    """Make and lock the directory until *stack* ends; return False where nothing can be written, which costs requests and no more."""
    lock = filelock.FileLock(path / "lock", mode=0o600)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        stack.enter_context(_acquired(lock, timeout_seconds, check))
    except filelock.Timeout as error:
        raise LockedError(f"the state {path} is locked by another run", hint="wait for it to end, or give --lock-timeout") from error
    except (NotADirectoryError, FileExistsError) as error:
        raise StateError(f"the state directory {path} cannot be made: {error.strerror}", hint="name another with --state") from error
    except OSError as error:
        on_warning(f"the state {path} cannot be written ({error.strerror}); what this run pushes is not remembered for the next")
        return False
    if kind := network_of(path):
        on_warning(f"the state {path} is on {kind}, where a run on another machine may not be kept out; name a local directory, or a registry (oci://…)")
    return True


def _acquired(lock: filelock.BaseFileLock, timeout_seconds: float, check: Callable[[], None]) -> contextlib.AbstractContextManager[object]:
    """Return *lock*, locked: asked for again and again, since waiting inside of a call would stop every other greenlet, and signals with them."""
    ends = time.monotonic() + timeout_seconds
    while True:
        try:
            return lock.acquire(blocking=False)
        except filelock.Timeout:
            if time.monotonic() >= ends:
                raise
        check()
        time.sleep(_LOOK_SECONDS)


def _open_sound(path: Path, thread: Thread, on_warning: Callable[[str], None]) -> diskcache.Cache | None:
    """Return the database, begun anew if it is damaged; None when none can be written."""
    try:
        with _just_made(path / _NEW) as new:
            try:
                check_files(path)
                if (path / DATABASE).exists():
                    check_database(path / DATABASE, like=new)
            except DamagedError as damage:
                aside = _set_aside(path)
                on_warning(f"the state is damaged ({damage.message}); it was set aside as {aside.name} and begun anew")
            if not (path / DATABASE).exists():
                # Whole or not at all: making one takes a hundred steps, and a run may be killed at any of them.
                with new.open("rb") as file:
                    os.fsync(file.fileno())
                new.rename(path / DATABASE)
        return thread.run(lambda: _open_cache(path))
    except UNUSABLE as error:
        on_warning(f"the state cannot be written ({error}); what this run pushes is not remembered for the next")
        return None


def _open_copy(path: Path, stack: contextlib.ExitStack, thread: Thread, on_warning: Callable[[str], None]) -> StateStore:
    """Read a copy, so that nothing of the state is touched, and a run that writes at this moment is not in the way."""
    if not (path / DATABASE).is_file():
        return StateStore(None, thread, on_warning=on_warning)
    try:
        copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imgsync-state-")))
        check_files(path)
        thread.run(lambda: _copy(path, copy))
        with _just_made(copy / _NEW) as new:
            check_database(copy / DATABASE, like=new)
        return StateStore(thread.run(lambda: _open_cache(copy, lasting=False)), thread, on_warning=on_warning)
    except DamagedError as damage:
        on_warning(f"the state in {path} is damaged ({damage.message}) and is not used")
    except UNUSABLE as error:
        on_warning(f"the state in {path} cannot be read ({error}) and is not used")
    return StateStore(None, thread, on_warning=on_warning)


def _copy(path: Path, target: Path) -> None:
    """Copy the database in *path*, of which nothing is known yet, as it is at one moment."""
    try:
        with contextlib.closing(read_only(path / DATABASE)) as old, contextlib.closing(sqlite3.connect(target / DATABASE)) as new:
            old.backup(new)
    except sqlite3.OperationalError:
        # SQLite reads nothing where it can put nothing beside it, be it read-only or full; but nobody writes there either.
        for name in (DATABASE, f"{DATABASE}-wal"):
            if (path / name).exists():
                shutil.copyfile(path / name, target / name)


@contextlib.contextmanager
def _just_made(folder: Path) -> Iterator[Path]:
    """Make *folder* and an empty database in it, which shows what ours look like; what a run that was killed left of it goes first, all of it in the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        _open_cache(folder, lasting=False).close()
        if len(parts(folder)) > 1:
            # What found no space in the one file is still beside it; closing does not say so.
            raise sqlite3.OperationalError("database or disk is full")
        yield folder / DATABASE
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _open_cache(path: Path, *, lasting: bool = True) -> diskcache.Cache:
    """Open the database in *path*; unless *lasting* nobody misses it after a power failure."""
    text = str(path)
    if "$" in text:
        # diskcache would expand it as a variable and write elsewhere.
        raise StateError(f"the state directory {text} has a '$' in its name", hint="name another with --state")
    mask = os.umask(0o077)
    try:
        cache = diskcache.Cache(text, timeout=60, disk=PlainDisk, sqlite_synchronous=_NORMAL if lasting else _OFF, **_SETTINGS)
    finally:
        os.umask(mask)
    if lasting:
        # Not before: diskcache writes its settings one by one, and none of them is worth waiting for.
        cache.reset("sqlite_synchronous", _FULL)
    return cache


def _set_aside(path: Path) -> Path:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    aside = path.with_name(f"{path.name}.broken-{moment}")
    aside.mkdir(mode=0o700)
    for part in parts(path):
        part.rename(aside / part.name)
    return aside
