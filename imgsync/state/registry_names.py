"""
Rename registries in states of earlier versions.

They took `HOST:443` for another registry than `HOST`. The reference type gives a registry one name since then; without this, every record
of such a registry would be lost.
"""

from __future__ import annotations

from dataclasses import replace

from imgsync.state.record import Record
from imgsync.state.snapshot import BLOB, GONE, REFERRERS, REMAINING, SEEN, Snapshot

_HTTPS_PORT = ":443"
# Their subjects begin with a registry.
_KINDS = frozenset({BLOB, REFERRERS, SEEN, REMAINING, GONE})


def rename_record(record: Record) -> Record:
    """Return *record* with the one name of each registry."""
    if _HTTPS_PORT not in record.destination and _HTTPS_PORT not in record.source:
        return record
    return replace(record, destination=_rename(record.destination, "/"), source=_rename(record.source, "/"))


def rename_subject(kind: str, subject: str) -> str:
    """Return the *subject* of a note with its registry's one name."""
    if kind not in _KINDS or _HTTPS_PORT not in subject:
        return subject
    return _rename(subject, " " if kind == BLOB else "/")


def is_later(record: Record, other: Record | None) -> bool:
    """Return whether *record* replaces *other*, another of its destination."""
    return other is None or record.applied_at > other.applied_at


def rename_all(snapshot: Snapshot) -> Snapshot:
    """Return *snapshot* with the one name of each registry."""
    records: dict[str, Record] = {}
    for record in map(rename_record, snapshot.records.values()):
        if is_later(record, records.get(record.destination)):
            records[record.destination] = record
    notes = {kind: {rename_subject(kind, subject): text for subject, text in found.items()} for kind, found in snapshot.notes.items()}
    return Snapshot(records, notes)


def _rename(text: str, end: str) -> str:
    registry, separator, rest = text.partition(end)
    return f"{registry.removesuffix(_HTTPS_PORT)}{separator}{rest}"
