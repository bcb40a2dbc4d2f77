"""
The open state: records, and notes about blobs and runs.

Opening reads every record into memory, packed, so lookups cost little. Writes go in batches through one native thread: SQLite would
block all greenlets, and diskcache opens one connection per greenlet.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import diskcache

from imgsync.errors import StateError
from imgsync.state.blob_note import BlobNote, SeenBlobs, parse_blob_note
from imgsync.state.packed_notes import PackedNotes
from imgsync.state.packed_records import PackedRecords
from imgsync.state.record import Record, encode, encode_note
from imgsync.state.rows import Rows
from imgsync.state.run_notes import RunNotes
from imgsync.state.snapshot import KINDS, Snapshot, compare_snapshots
from imgsync.text.units import format_count, parse_timestamp

Result = TypeVar("Result")

# Keys: a record has its destination reference, which contains no space; a note has its kind, a space and its subject.
_BLOB, _REFERRERS, _SEEN, _, _, _, _GONE = KINDS
_ROWS = 4096  # in memory at once while the state is read
# The artifact last pulled from each reference. It describes this directory only, so it is never exported.
_PULLED = "pulled"
# Raised for a full, read-only or failing disk. UnicodeError: SQLite may quote damaged text in its message.
STORAGE_ERRORS = (sqlite3.Error, diskcache.Timeout, OSError, UnicodeError)


class Thread(Protocol):
    """Runs a blocking call without blocking the other greenlets."""

    def run(self, function: Callable[[], Result]) -> Result:
        """Return `function()`."""


class StateStore(RunNotes):
    """The open state. Without a database it lasts for this run only."""

    def __init__(self, cache: diskcache.Cache | None, thread: Thread, *, on_warning: Callable[[str], None], persistent: bool = False) -> None:
        """
        Read every record of *cache*.

        *persistent* says whether the next run will find what is written.
        """
        self._cache = cache
        self.is_persistent = persistent and cache is not None
        self._thread = thread
        self._records = PackedRecords()
        super().__init__({kind: PackedNotes() for kind in (*KINDS, _PULLED)})
        # Made when first needed: few runs ask.
        self._blob_repositories: set[tuple[str, str]] | None = None
        if cache is not None:
            self._load(on_warning)

    def get(self, destination: str) -> Record | None:
        """Return the record of *destination*, if any."""
        return self._records.find(destination)

    def iter_records(self, prefix: str = "") -> Iterator[Record]:
        """Yield the records whose destination starts with *prefix*, sorted."""
        return self._records.iter_from(prefix)

    def put(
        self,
        records: Sequence[Record] = (),
        *,
        blobs: Iterable[SeenBlobs] = (),
        lost: Iterable[tuple[str, str, Sequence[str]]] = (),
        referrers: Iterable[tuple[str, str, str]] = (),
        seen: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        """
        Store records and notes, all or none.

        Args:
            records: What was pushed or adopted.
            blobs: Blobs and manifests seen at a destination.
            lost: (registry, repository path, digests) of those that are no longer there.
            referrers: (destination repository, digest, tags): the referrer tags at the source when the image was copied.
            seen: (source repository, digest, moment) of a digest held by `min_age`; an earlier moment stays.

        Raises:
            StateError: They cannot be written; they still count for this run.
        """
        self._records.put(records)
        values: dict[str, str | None] = {record.destination: encode(record) for record in records}
        for registry, repository, digests in lost:
            for digest in digests:
                self.forget_blob(registry, repository, digest)
                values[f"{_BLOB} {registry} {digest}"] = self._notes[_BLOB].get(f"{registry} {digest}")
        for seen_there in blobs:
            for digest, size_bytes in seen_there.sizes.items():
                known = self.find_blob(seen_there.registry, digest)
                note = BlobNote((seen_there.repository,), (seen_there.source,) if seen_there.source else (), size_bytes).join(known)
                self._note(values, _BLOB, f"{seen_there.registry} {digest}", str(note))
        for repository, digest, tags in referrers:
            if self._notes[_REFERRERS].get(f"{repository} {digest}", "") != tags:
                self._note(values, _REFERRERS, f"{repository} {digest}", tags)
        for repository, digest, moment in seen:
            first = parse_timestamp(self.get_first_seen(repository, digest))
            # A timestamp in the future came from a wrong clock; overwrite it.
            if first is None or first > (parse_timestamp(moment) or first):
                self._note(values, _SEEN, f"{repository} {digest}", moment)
        self._write(values)

    def put_gone(self, gone: Iterable[tuple[str, str]], *, returned: Iterable[str] = ()) -> None:
        """
        Store which recorded tags the source no longer has.

        Args:
            gone: (destination, moment) of each; an earlier moment stays.
            returned: Destinations whose tag is back at the source.

        Raises:
            StateError: They cannot be written; they still count for this run.
        """
        values: dict[str, str | None] = {f"{_GONE} {destination}": None for destination in returned if self._notes[_GONE].pop(destination, None) is not None}
        for destination, moment in gone:
            if destination in self._records and destination not in self._notes[_GONE]:
                self._note(values, _GONE, destination, moment)
        self._write(values)

    def get_first_seen(self, repository: str, digest: str) -> str:
        """Return when *digest* was first seen in the source *repository*, or ""."""
        return self._notes[_SEEN].get(f"{repository} {digest}", "")

    @property
    def gone_since(self) -> Mapping[str, str]:
        """Since when sources lack tags, by destination (RFC 3339)."""
        return self._notes[_GONE]

    def forget_blob(self, registry: str, repository: str, digest: str) -> None:
        """Forget for this run that *repository* has the blob: it is missing."""
        known = self.find_blob(registry, digest)
        if repository in known.repositories:
            self._notes[_BLOB][f"{registry} {digest}"] = str(known.without(repository))

    def remove(self, destinations: Iterable[str]) -> int:
        """
        Remove the records of *destinations* and return their number.

        Raises:
            StateError: The state cannot be written.
        """
        known = [destination for destination in destinations if self._records.pop(destination, None) is not None]
        gone = [f"{_GONE} {destination}" for destination in known if self._notes[_GONE].pop(destination, None) is not None]
        self._write(dict.fromkeys([*known, *gone]))
        return len(known)

    def snapshot(self) -> Snapshot:
        """Return everything that can be exported."""
        return Snapshot({record.destination: record for record in self.iter_records()}, {kind: dict(self._notes[kind]) for kind in KINDS})

    def replace_all(self, snapshot: Snapshot) -> None:
        """
        Replace all records and notes by those of *snapshot*, or change nothing.

        Raises:
            StateError: They cannot be written; they still count for this run.
        """
        values = dict(compare_snapshots(self.snapshot(), snapshot))
        for kind in KINDS:
            self._notes[kind] = PackedNotes(sorted(snapshot.notes[kind].items()))
        self._records = PackedRecords(record for _, record in sorted(snapshot.records.items()))
        self._blob_repositories = None
        self._write(values)

    def get_pulled(self, reference: str) -> str:
        """Return what `put_pulled` stored for *reference*, or ""."""
        return self._notes[_PULLED].get(reference, "")

    def put_pulled(self, reference: str, digests: str) -> None:
        """
        Store the artifact last pulled from or pushed to *reference*.

        It describes this directory only and is never exported.

        Raises:
            StateError: The state cannot be written.
        """
        values: dict[str, str | None] = {}
        self._note(values, _PULLED, reference, digests)
        self._write(values)

    def find_blob(self, registry: str, digest: str) -> BlobNote:
        """Return where *registry* has the blob, and which sources gave it."""
        return parse_blob_note(self._notes[_BLOB].find(f"{registry} {digest}") or "")

    def find_blob_repositories(self, registry: str, digest: str) -> tuple[str, ...]:
        """Return up to four repository paths with the blob, latest first."""
        return self.find_blob(registry, digest).repositories

    def find_blob_sources(self, registry: str, digest: str) -> tuple[str, ...]:
        """Return up to four source registries that gave the blob."""
        return self.find_blob(registry, digest).sources

    def find_blob_size(self, registry: str, digest: str) -> int | None:
        """Return the size of the blob, None if unknown."""
        return self.find_blob(registry, digest).size_bytes

    def has_blobs_of(self, registry: str, repository: str) -> bool:
        """Return whether earlier runs recorded any blob of the repository."""
        if self._blob_repositories is None:
            self._blob_repositories = {
                (about.partition(" ")[0], path) for about, text in self._notes[_BLOB].items() for path in parse_blob_note(text).repositories
            }
        return (registry, repository) in self._blob_repositories

    def get_referrer_tags(self, repository: str, digest: str) -> str:
        """Return the referrer tags stored when *digest* was last copied to *repository*."""
        return self._notes[_REFERRERS].get(f"{repository} {digest}", "")

    def close(self) -> None:
        """Write everything into one file and close it."""
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
        rows = Rows(self._iter_rows(), self._notes)
        self._records, self._notes = rows.records, rows.notes
        if rows.damaged:
            on_warning(f"dropped {format_count(rows.damaged, 'damaged record')} from the state; their tags are looked up at the destination")
        with contextlib.suppress(StateError):
            self._write(dict(rows.iter_renamed()))

    def _iter_rows(self) -> Iterator[tuple[str, str]]:
        """Yield the rows sorted by key, with some of them in memory."""
        assert self._cache is not None  # noqa: S101 - only called with a database
        # One query: diskcache reads row by row. As bytes: sqlite3 refuses all rows if the text of one is damaged.
        cache, query = self._cache, "select cast(key as blob), cast(value as blob) from Cache order by key"
        found = self._thread.run(lambda: cache._sql(query))  # noqa: SLF001
        while some := self._thread.run(lambda: found.fetchmany(_ROWS)):
            yield from ((str(key, "utf-8", "replace"), str(value, "utf-8", "replace")) for key, value in some)

    def _write(self, values: dict[str, str | None]) -> None:
        if self._cache is None or not values:
            return
        cache = self._cache
        # A record has its own checksum.
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
        except STORAGE_ERRORS as error:
            # Stop writing: a full or read-only disk would fail for every record.
            self._cache = None
            raise StateError(
                f"the state can no longer be written ({str(error) or type(error).__name__})", hint="copying continues; the next run checks the destinations"
            ) from error
