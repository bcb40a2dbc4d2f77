"""
The state as the engine sees it: records by destination reference, and where blobs were seen.

All records are read when it opens, so that asking for one costs nothing; writes go in batches through one native thread,
because SQLite would block every other greenlet, and each greenlet of diskcache's would open a connection of its own.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import diskcache
import filelock

from imgsync.errors import LockedError, StateError
from imgsync.state.disk import PlainDisk
from imgsync.state.preflight import DATABASE, DamagedError, check_database, check_directory, describe
from imgsync.state.record import Record, decode, encode

Result = TypeVar("Result")

# A record stands under its destination reference, in which no space can be.
_BLOB = "blob "
_REFERRERS = "referrers "
_REPOSITORIES_PER_BLOB = 4
# What a full, read-only or failing disk makes of a call.
_UNUSABLE = (sqlite3.Error, diskcache.Timeout, OSError)
_SETTINGS: dict[str, Any] = {
    # The defaults would drop the oldest records past 1 GiB, and the file's own settings win over what is not said here.
    "eviction_policy": "none",
    "cull_limit": 0,
    "size_limit": 2**62,
    "statistics": 0,
    "tag_index": 0,
    "sqlite_mmap_size": 0,
    "sqlite_synchronous": 2,
    "sqlite_journal_mode": "wal",
    "disk_min_file_size": 2**31,
}


class Thread(Protocol):
    """Runs a call where it may block."""

    def run(self, function: Callable[[], Result]) -> Result:
        """Return `function()`."""


class StateStore:
    """The open state. Without a database (*cache* None) it remembers for this run alone."""

    def __init__(self, cache: diskcache.Cache | None, thread: Thread, *, on_warning: Callable[[str], None], lasting: bool = False) -> None:
        """Read every record of *cache*; *lasting* says that what is put there is found by the next run."""
        self._cache = cache
        self.lasting = lasting and cache is not None
        self._thread = thread
        self._records: dict[str, Record] = {}
        self._blobs: dict[str, str] = {}
        self._referrers: dict[str, str] = {}
        if cache is not None:
            self._load(on_warning)

    def record(self, destination: str) -> Record | None:
        """Return what is remembered of *destination*, None when nothing is."""
        return self._records.get(destination)

    def records(self, prefix: str = "") -> Iterator[Record]:
        """Yield the records whose destination begins with *prefix*, sorted by it."""
        for destination in sorted(self._records):
            if destination.startswith(prefix):
                yield self._records[destination]

    def put(
        self, records: Sequence[Record] = (), *, blobs: Iterable[tuple[str, str, Sequence[str]]] = (), referrers: Iterable[tuple[str, str, str]] = ()
    ) -> None:
        """
        Remember *records*, *blobs* and *referrers*, all or none.

        *blobs* are (registry, repository path, digests) of blobs and manifests that were seen there; *referrers* are (repository, digest, tags):
        which tags the source had for the referrers of the image of this digest when it was copied to this repository.

        Raises:
            StateError: They cannot be written; they are remembered for this run all the same.
        """
        self._records.update((record.destination, record) for record in records)
        values: dict[str, str | None] = {record.destination: encode(record) for record in records}
        for registry, repository, digests in blobs:
            for digest in digests:
                values[f"{_BLOB}{registry} {digest}"] = self._saw(f"{registry} {digest}", repository)
        for repository, digest, tags in referrers:
            key = f"{repository} {digest}"
            if self._referrers.get(key, "") != tags:
                values[_REFERRERS + key] = self._referrers[key] = tags
        self._write(values)

    def _saw(self, key: str, repository: str) -> str:
        known = [path for path in self._blobs.get(key, "").split() if path != repository]
        self._blobs[key] = " ".join([repository, *known][:_REPOSITORIES_PER_BLOB])
        return self._blobs[key]

    def remove(self, destinations: Iterable[str]) -> int:
        """
        Forget *destinations* and return how many were remembered.

        Raises:
            StateError: The state cannot be written.
        """
        known = [destination for destination in destinations if self._records.pop(destination, None) is not None]
        self._write(dict.fromkeys(known))
        return len(known)

    def blob_repositories(self, registry: str, digest: str) -> tuple[str, ...]:
        """Return the repository paths of *registry* in which the blob was seen, at most four, the latest first."""
        return tuple(self._blobs.get(f"{registry} {digest}", "").split())

    def referrers(self, repository: str, digest: str) -> str:
        """Return the tags of referrers that were seen to when *digest* was last copied to *repository*, as `put` was told."""
        return self._referrers.get(f"{repository} {digest}", "")

    def close(self) -> None:
        """Move everything into the one file, and close it."""
        if self._cache is None:
            return
        cache = self._cache

        def finish() -> None:
            with contextlib.suppress(sqlite3.Error):
                cache._sql("pragma wal_checkpoint(truncate)").fetchall()  # noqa: SLF001 - diskcache has no call for it
            cache.close()

        self._thread.run(finish)
        self._cache = None

    def _load(self, on_warning: Callable[[str], None]) -> None:
        damaged = 0
        for key, value in self._thread.run(self._rows):
            kind = next((prefix for prefix in (_BLOB, _REFERRERS) if key.startswith(prefix)), None)
            if kind is not None:
                if isinstance(value, str):
                    (self._blobs if kind == _BLOB else self._referrers)[key[len(kind) :]] = value
                continue
            record = decode(key, value)
            if record is None:
                damaged += 1
            else:
                self._records[record.destination] = record
        if damaged:
            on_warning(f"{damaged} damaged records were dropped from the state; their tags are looked up at the destination")

    def _rows(self) -> list[tuple[str, object]]:
        assert self._cache is not None  # noqa: S101 - only called with a database
        found = self._cache._sql("select key, value from Cache").fetchall()  # noqa: SLF001 - one pass, where diskcache asks row by row
        return [(key, value) for key, value in found if isinstance(key, str)]

    def _write(self, values: dict[str, str | None]) -> None:
        if self._cache is None or not values:
            return
        cache = self._cache

        def write() -> None:
            with cache.transact(retry=False):
                for key, value in values.items():
                    if value is None:
                        cache.delete(key, retry=False)
                    else:
                        cache.set(key, value, retry=False)

        try:
            self._thread.run(write)
        except _UNUSABLE as error:
            # Nothing more is tried: a full or read-only disk would fail for every record.
            self._cache = None
            raise StateError(
                f"the state can no longer be written ({str(error) or type(error).__name__})", hint="copying goes on; the next run asks the destinations"
            ) from error


@contextlib.contextmanager
def open_state(
    directory: str, *, thread: Thread, lock_timeout_seconds: float, on_warning: Callable[[str], None], read_only: bool = False
) -> Iterator[StateStore]:
    """
    Give the state in *directory*, locked against a second run, and close it in the end.

    *read_only* takes no lock, makes no directory, and reads a copy. A damaged or hostile state is set aside with a
    warning and begun anew. A relative path is below the working folder; `~` and `$` are not expanded.

    Raises:
        LockedError: Another run holds it for longer than *lock_timeout_seconds*.
        StateError: The directory is not ours alone to write.
    """
    path = Path(directory).absolute()
    check_directory(path)
    with contextlib.ExitStack() as stack:
        if read_only or not _lock(path, lock_timeout_seconds, stack, on_warning):
            store = _open_copy(path, stack, thread, on_warning)
        else:
            store = StateStore(_open_sound(path, thread, on_warning), thread, on_warning=on_warning, lasting=True)
        stack.callback(store.close)
        yield store


def _lock(path: Path, timeout_seconds: float, stack: contextlib.ExitStack, on_warning: Callable[[str], None]) -> bool:
    """Make and lock the directory until *stack* ends; return False where nothing can be written, which costs requests and no more."""
    lock = filelock.FileLock(path / "lock", timeout=timeout_seconds, mode=0o600)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        stack.enter_context(lock)
    except filelock.Timeout as error:
        raise LockedError(f"the state {path} is locked by another run", hint="wait for it to end, or give --lock-timeout") from error
    except (NotADirectoryError, FileExistsError) as error:
        raise StateError(f"the state directory {path} cannot be made: {error.strerror}", hint="name another with --state") from error
    except OSError as error:
        on_warning(f"the state {path} cannot be written ({error.strerror}); what this run pushes is not remembered for the next")
        return False
    return True


def _open_sound(path: Path, thread: Thread, on_warning: Callable[[str], None]) -> diskcache.Cache | None:
    """Return the database, begun anew if it is damaged; None when none can be written."""
    try:
        try:
            if (path / DATABASE).exists() or (path / DATABASE).is_symlink():
                _check(path)
        except DamagedError as damage:
            aside = _set_aside(path)
            on_warning(f"the state is damaged ({damage.message}); it was set aside as {aside.name} and begun anew")
        return thread.run(lambda: _open_cache(path))
    except _UNUSABLE as error:
        on_warning(f"the state cannot be written ({error}); this run remembers nothing for the next")
        return None


def _open_copy(path: Path, stack: contextlib.ExitStack, thread: Thread, on_warning: Callable[[str], None]) -> StateStore:
    """Read a copy, so that nothing of the state is touched, and a run that writes at this moment is not in the way."""
    if not (path / DATABASE).is_file():
        return StateStore(None, thread, on_warning=on_warning)
    try:
        copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imgsync-state-")))
        _check(path)
        thread.run(lambda: _backup(path / DATABASE, copy / DATABASE))
        return StateStore(thread.run(lambda: _open_cache(copy)), thread, on_warning=on_warning)
    except DamagedError as damage:
        on_warning(f"the state in {path} is damaged ({damage}) and is not used")
    except _UNUSABLE as error:
        on_warning(f"the state in {path} cannot be read ({error}) and is not used")
    return StateStore(None, thread, on_warning=on_warning)


def _backup(source: Path, target: Path) -> None:
    with contextlib.closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as old, contextlib.closing(sqlite3.connect(target)) as new:
        old.backup(new)


def _check(path: Path) -> None:
    schema, settings = _ours()
    check_database(path / DATABASE, schema=schema, settings=settings)


@cache
def _ours() -> tuple[list[tuple[str, ...]], list[str]]:
    """Return the schema and settings of a database just made, which every sound one has."""
    with tempfile.TemporaryDirectory(prefix="imgsync-state-") as folder:
        _open_cache(Path(folder)).close()
        return describe(Path(folder) / DATABASE)


def _open_cache(path: Path) -> diskcache.Cache:
    text = str(path)
    if "$" in text:
        # diskcache would expand it as a variable and write elsewhere.
        raise StateError(f"the state directory {text} has a '$' in its name", hint="name another with --state")
    mask = os.umask(0o077)
    try:
        return diskcache.Cache(text, timeout=60, disk=PlainDisk, **_SETTINGS)
    finally:
        os.umask(mask)


def _set_aside(path: Path) -> Path:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    aside = path.with_name(f"{path.name}.broken-{moment}")
    aside.mkdir(mode=0o700)
    for suffix in ("", "-wal", "-shm"):
        part = path / f"{DATABASE}{suffix}"
        if part.exists() or part.is_symlink():
            part.rename(aside / part.name)
    return aside
