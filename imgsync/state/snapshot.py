"""A whole state as one value, to export and merge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from imgsync.state.record import Record
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
