"""A state as one value, apart from any database: what is exported, merged, and kept in a registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imgsync.state.record import Record

# What a state notes beside its records. All of it travels.
BLOB, REFERRERS, SEEN, LEFT, SUCCESS, RUN = KINDS = ("blob", "referrers", "seen", "left", "success", "run")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Records by destination reference, and for each of `KINDS` the notes by what they are about; a kind without notes is there, empty."""

    records: Mapping[str, Record] = field(default_factory=dict)
    notes: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {kind: {} for kind in KINDS})


EMPTY = Snapshot()
