"""
The records of a state, packed in memory.

As objects, a million records need a GiB; packed, a tenth. What a run changes is held beside them.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from sys import intern

from imgsync.state.record import Record
from imgsync.system.dataclass import dataclass
from imgsync.system.packed_rows import pack_rows, unpack_rows

# Records that are unpacked at once, and blocks that stay unpacked: planning reads in order.
_BLOCK = 128
_UNPACKED = 64
_get_destination = attrgetter("destination")
_FIELDS = tuple(field.name for field in fields(Record))


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Sorted records in blocks, and the first destination of each."""

    firsts: Sequence[str]
    packed: Sequence[bytes]
    count: int


class PackedRecords:
    """Records by destination, as a mapping, which reads them sorted."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        """Pack *records*, sorted by destination, each once."""
        self._blocks = _pack(records)
        # None for a record that was removed.
        self._changed: dict[str, Record | None] = {}
        self._length = self._blocks.count
        self._unpack = lru_cache(maxsize=_UNPACKED)(self._unpack_block)

    def __len__(self) -> int:
        """Return the number of records."""
        return self._length

    def __contains__(self, destination: str) -> bool:
        """Return whether *destination* has a record."""
        return self.get(destination) is not None

    def get(self, destination: str) -> Record | None:
        """Return the record of *destination*, if any."""
        if destination in self._changed:
            return self._changed[destination]
        number = bisect_right(self._blocks.firsts, destination) - 1
        return self._unpack(number).get(destination) if number >= 0 else None

    def put(self, record: Record) -> None:
        """Add or replace *record*."""
        self._length += record.destination not in self
        self._changed[record.destination] = record

    def update(self, records: Iterable[Record]) -> None:
        """Add or replace each of *records*."""
        for record in records:
            self.put(record)

    def remove(self, destination: str) -> bool:
        """Remove the record of *destination*; return whether there was one."""
        is_known = destination in self
        self._length -= is_known
        if is_known:
            self._changed[destination] = None
        return is_known

    def iter_from(self, prefix: str = "") -> Iterator[Record]:
        """Yield the records whose destination starts with *prefix*, sorted."""
        changed = [record for record in self._changed.values() if record is not None and record.destination.startswith(prefix)]
        unchanged = (record for record in self._iter_packed(prefix) if record.destination not in self._changed)
        return heapq.merge(unchanged, sorted(changed, key=_get_destination), key=_get_destination)

    def _iter_packed(self, prefix: str) -> Iterator[Record]:
        start = max(0, bisect_left(self._blocks.firsts, prefix) - 1)
        for number in range(start, len(self._blocks.packed)):
            if self._blocks.firsts[number] > prefix and not self._blocks.firsts[number].startswith(prefix):
                return
            for destination, record in self._unpack(number).items():
                if destination.startswith(prefix):
                    yield record

    def _unpack_block(self, number: int) -> dict[str, Record]:
        return {row[0]: _make_record(*row) for row in unpack_rows(self._blocks.packed[number])}


def _make_record(
    destination: str,
    digest: str,
    crc32: str,
    size_bytes: int,
    media_type: str,
    source: str,
    source_digest: str,
    *texts: str,
) -> Record:
    # Thousands of records share these values: keep each once in memory.
    source_digest = digest if source_digest == digest else source_digest
    return Record(destination, digest, crc32, size_bytes, intern(media_type), source, source_digest, *map(intern, texts))


def _pack(records: Iterable[Record]) -> _Blocks:
    firsts: list[str] = []
    packed: list[bytes] = []
    count = 0
    rows = ([getattr(record, name) for name in _FIELDS] for record in records)
    while block := list(islice(rows, _BLOCK)):
        firsts.append(block[0][0])
        packed.append(pack_rows(block))
        count += len(block)
    return _Blocks(firsts, packed, count)
