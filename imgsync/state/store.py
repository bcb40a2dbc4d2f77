"""
The state as the engine sees it: records by destination reference, and where blobs were seen.

All records are read when it opens, so that asking for one costs nothing; writes go in batches through one native thread,
because SQLite would block every other greenlet, and each greenlet of diskcache's would open a connection of its own.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import diskcache

from imgsync.errors import StateError
from imgsync.state.merge import latest_first
from imgsync.state.record import Record, decode, decode_note, encode, encode_note
from imgsync.state.snapshot import KINDS, Snapshot
from imgsync.text.units import parse_timestamp

Result = TypeVar("Result")

# A record stands under its destination reference, in which no space can be; all else under its kind, a space, and what it is about.
_BLOB, _REFERRERS, _SEEN, _LEFT, _SUCCESS, _RUN = KINDS
# Which artifact was last pulled here from which reference: of this place alone, so it does not travel.
_PULLED = "pulled"
# What a full, read-only or failing disk makes of a call; what SQLite says of it may quote what is no text any more.
UNUSABLE = (sqlite3.Error, diskcache.Timeout, OSError, UnicodeError)


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
        self._notes: dict[str, dict[str, str]] = {kind: {} for kind in (*KINDS, _PULLED)}
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
        self,
        records: Sequence[Record] = (),
        *,
        blobs: Iterable[tuple[str, str, Sequence[str]]] = (),
        referrers: Iterable[tuple[str, str, str]] = (),
        seen: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        """
        Remember *records*, *blobs*, *referrers* and *seen*, all or none.

        *blobs* are (registry, repository path, digests) of blobs and manifests that were seen there; *referrers* are (repository, digest, tags):
        which tags the source had for the referrers of the image of this digest when it was copied to this repository; *seen* are (source
        repository, digest, moment) of digests that a quarantine holds: only what was not seen before that moment is noted.

        Raises:
            StateError: They cannot be written; they are remembered for this run all the same.
        """
        self._records.update((record.destination, record) for record in records)
        values: dict[str, str | None] = {record.destination: encode(record) for record in records}
        for registry, repository, digests in blobs:
            for digest in digests:
                known = self._notes[_BLOB].get(f"{registry} {digest}", "")
                self._note(values, _BLOB, f"{registry} {digest}", " ".join(latest_first((repository, *known.split()))))
        for repository, digest, tags in referrers:
            if self._notes[_REFERRERS].get(f"{repository} {digest}", "") != tags:
                self._note(values, _REFERRERS, f"{repository} {digest}", tags)
        for repository, digest, moment in seen:
            first = parse_timestamp(self.first_seen(repository, digest))
            # One that is still to come was noted by a wrong clock; what holds by it would hold until then.
            if first is None or first > (parse_timestamp(moment) or first):
                self._note(values, _SEEN, f"{repository} {digest}", moment)
        self._write(values)

    def end_run(self, *, left: Iterable[str], successes: Iterable[str], requeues: int, moment: str) -> None:
        """
        Remember how a run ended at *moment*: the destinations it *left* for the next, in order, the mirrors that are as declared, requeues in a row.

        Raises:
            StateError: The state cannot be written.
        """
        values: dict[str, str | None] = {f"{_LEFT} {destination}": None for destination in self._notes[_LEFT]}
        self._notes[_LEFT].clear()
        for number, destination in enumerate(left):
            self._note(values, _LEFT, destination, f"{number:08}")
        for mirror in successes:
            self._note(values, _SUCCESS, mirror, moment)
        if self.requeues != requeues:
            self._note(values, _RUN, "requeues", str(requeues))
        self._write(values)

    @property
    def left(self) -> tuple[str, ...]:
        """Return the destinations that the last run left for this one, in the order it would have taken them."""
        return tuple(sorted(self._notes[_LEFT], key=self._notes[_LEFT].__getitem__))

    @property
    def requeues(self) -> int:
        """Return how many runs in a row started the next one themselves."""
        text = self._notes[_RUN].get("requeues", "")
        return int(text) if text.isdecimal() and len(text) < 10 else 0

    @property
    def successes(self) -> Mapping[str, str]:
        """Return when each mirror was last found or made to be as declared, RFC 3339."""
        return self._notes[_SUCCESS]

    def first_seen(self, repository: str, digest: str) -> str:
        """Return when *digest* was first seen in the source *repository*, RFC 3339; "" when it never was."""
        return self._notes[_SEEN].get(f"{repository} {digest}", "")

    def forget_blob(self, registry: str, repository: str, digest: str) -> None:
        """Forget, for this run, that *repository* of *registry* holds the blob: it was asked for, and is not there."""
        known = self._notes[_BLOB].get(f"{registry} {digest}", "").split()
        if repository in known:
            self._notes[_BLOB][f"{registry} {digest}"] = " ".join(path for path in known if path != repository)

    def _note(self, values: dict[str, str | None], kind: str, about: str, text: str) -> None:
        self._notes[kind][about] = values[f"{kind} {about}"] = text

    def remove(self, destinations: Iterable[str]) -> int:
        """
        Forget *destinations* and return how many were remembered.

        Raises:
            StateError: The state cannot be written.
        """
        known = [destination for destination in destinations if self._records.pop(destination, None) is not None]
        self._write(dict.fromkeys(known))
        return len(known)

    def snapshot(self) -> Snapshot:
        """Return all that is remembered and may travel, as it is now."""
        return Snapshot(dict(self._records), {kind: dict(self._notes[kind]) for kind in KINDS})

    def become(self, snapshot: Snapshot) -> None:
        """
        Remember what *snapshot* holds and no more, all or nothing.

        Raises:
            StateError: It cannot be written; it is remembered for this run all the same.
        """
        before, values = self.snapshot(), dict[str, str | None]()
        for destination in before.records.keys() | snapshot.records.keys():
            record = snapshot.records.get(destination)
            if record != before.records.get(destination):
                values[destination] = None if record is None else encode(record)
        for kind in KINDS:
            for about in before.notes[kind].keys() | snapshot.notes[kind].keys():
                if snapshot.notes[kind].get(about) != before.notes[kind].get(about):
                    values[f"{kind} {about}"] = snapshot.notes[kind].get(about)
            self._notes[kind] = dict(snapshot.notes[kind])
        self._records = dict(snapshot.records)
        self._write(values)

    def pulled(self, reference: str) -> str:
        """Return what `note_pulled` noted of *reference*, "" for nothing."""
        return self._notes[_PULLED].get(reference, "")

    def note_pulled(self, reference: str, digests: str) -> None:
        """
        Remember, in this place alone, which artifact was last pulled from or pushed to *reference*.

        Raises:
            StateError: The state cannot be written.
        """
        values: dict[str, str | None] = {}
        self._note(values, _PULLED, reference, digests)
        self._write(values)

    def blob_repositories(self, registry: str, digest: str) -> tuple[str, ...]:
        """Return the repository paths of *registry* in which the blob was seen, at most four, the latest first."""
        return tuple(self._notes[_BLOB].get(f"{registry} {digest}", "").split())

    def referrers(self, repository: str, digest: str) -> str:
        """Return the tags of referrers that were seen to when *digest* was last copied to *repository*, as `put` was told."""
        return self._notes[_REFERRERS].get(f"{repository} {digest}", "")

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
        damaged = sum(not self._take(key, value) for key, value in self._thread.run(self._rows))
        if damaged:
            on_warning(f"{damaged} damaged records were dropped from the state; their tags are looked up at the destination")

    def _take(self, key: str, value: str) -> bool:
        """Take one row in, and return whether it is sound."""
        kind, space, about = key.partition(" ")
        if not space:
            record = decode(key, value)
            if record is not None:
                self._records[record.destination] = record
            return record is not None
        if kind not in self._notes:
            # Of a kind that only a later version knows nothing is read, and nothing lost.
            return True
        text = decode_note(key, value)
        if text is not None:
            self._notes[kind][about] = text
        return text is not None

    def _rows(self) -> list[tuple[str, str]]:
        assert self._cache is not None  # noqa: S101 - only called with a database
        # In one pass, where diskcache asks row by row; as bytes, since sqlite3 refuses all rows for one that is no text any more.
        found = self._cache._sql("select cast(key as blob), cast(value as blob) from Cache").fetchall()  # noqa: SLF001
        return [(str(key, "utf-8", "replace"), str(value, "utf-8", "replace")) for key, value in found]

    def _write(self, values: dict[str, str | None]) -> None:
        if self._cache is None or not values:
            return
        cache = self._cache
        # A record has its check within.
        stored = {key: encode_note(key, text) if text is not None and " " in key else text for key, text in values.items()}

        def write() -> None:
            with cache.transact(retry=False):
                for key, value in stored.items():
                    if value is None:
                        cache.delete(key, retry=False)
                    else:
                        cache.set(key, value, retry=False)

        try:
            self._thread.run(write)
        except UNUSABLE as error:
            # Nothing more is tried: a full or read-only disk would fail for every record.
            self._cache = None
            raise StateError(
                f"the state can no longer be written ({str(error) or type(error).__name__})", hint="copying goes on; the next run asks the destinations"
            ) from error


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "replace")
