"""
The records of a state, packed in memory.

As objects, a million records need a GiB; packed, a tenth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from sys import intern

from imgsync.state.record import Record
from imgsync.system.packed_map import PackedMap

_FIELDS = tuple(field.name for field in fields(Record))


class PackedRecords(PackedMap[Record]):
    """Records by destination."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        """Pack *records*, sorted by destination, each once."""
        super().__init__(map(_list_fields, records), _make_record, lambda _, record: _list_fields(record))

    def put(self, records: Iterable[Record]) -> None:
        """Add or replace each of *records*."""
        for record in records:
            self[record.destination] = record

    def iter_from(self, prefix: str = "") -> Iterator[Record]:
        """Yield the records whose destination starts with *prefix*, sorted."""
        return (record for _, record in self.iter_items(prefix))


def _list_fields(record: Record) -> list[object]:
    return [getattr(record, name) for name in _FIELDS]


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
