"""A whole state as one value, to export and merge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from imgsync.state.record import Record, encode
from imgsync.system.dataclass import dataclass

# Kinds of notes, as stored. REMAINING: what the last run left over. GONE: what the source no longer has.
BLOB, REFERRERS, SEEN, REMAINING, SUCCESS, RUN, GONE = KINDS = ("blob", "referrers", "seen", "left", "success", "run", "gone")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    Records by destination reference, and notes by kind and subject.

    `notes` has a mapping for each of `KINDS`, if only an empty one.
    """

    records: Mapping[str, Record] = field(default_factory=dict)
    notes: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {kind: {} for kind in KINDS})


EMPTY = Snapshot()


def compare_snapshots(before: Snapshot, after: Snapshot) -> Iterator[tuple[str, str | None]]:
    """
    Yield what to store to get from *before* to *after*.

    It comes with its key, None to remove it.
    """
    for destination in before.records.keys() | after.records.keys():
        record = after.records.get(destination)
        if record != before.records.get(destination):
            yield destination, None if record is None else encode(record)
    for kind in KINDS:
        ours, theirs = before.notes[kind], after.notes[kind]
        yield from ((f"{kind} {about}", theirs.get(about)) for about in ours.keys() | theirs.keys() if theirs.get(about) != ours.get(about))
