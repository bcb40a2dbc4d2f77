"""
Two states made one, record by record, so that no run loses what another wrote. Pure.

With the state that both began from it is a three-way merge: what one side alone changed or forgot is as that side has it. Without one,
everything either side has stays. Where both changed the same thing, the newer record wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from imgsync.state.record import Record
from imgsync.state.snapshot import BLOB, EMPTY, LEFT, REFERRERS, RUN, SEEN, SUCCESS, Snapshot

Value = TypeVar("Value")

REPOSITORIES_PER_BLOB = 4


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to, and how many of our records it made: `added` that we lacked, `newer` than ours, `removed`; `kept` are as they were."""

    snapshot: Snapshot
    added: int
    newer: int
    removed: int
    kept: int


def merge(ours: Snapshot, theirs: Snapshot, base: Snapshot = EMPTY) -> Merged:
    """
    Return *ours* with what *theirs* changed since *base*, the state that both began from (empty where that is not known).

    Changed by both: of a record the one with the later `applied_at` (adopted ones are oldest, ours wins a tie), of first sights the earliest,
    of successes the latest, of a blob's repositories both, ours first. What the last run left and how it ended are ours, unless we have none.
    """
    records = _three_way(ours.records, theirs.records, base.records, _newer)
    left, of_theirs, of_base = ours.notes[LEFT], theirs.notes[LEFT], base.notes[LEFT]
    notes = {
        BLOB: _three_way(ours.notes[BLOB], theirs.notes[BLOB], base.notes[BLOB], _both_repositories),
        REFERRERS: _three_way(ours.notes[REFERRERS], theirs.notes[REFERRERS], base.notes[REFERRERS], _ours),
        SEEN: _three_way(ours.notes[SEEN], theirs.notes[SEEN], base.notes[SEEN], min),
        # One queue: of two, mixed, nobody would know the order.
        LEFT: of_theirs if left == of_base else left,
        SUCCESS: _three_way(ours.notes[SUCCESS], theirs.notes[SUCCESS], base.notes[SUCCESS], max),
        RUN: _three_way(ours.notes[RUN], theirs.notes[RUN], base.notes[RUN], _ours),
    }
    known = ours.records.keys() & records.keys()
    newer = sum(records[destination] != ours.records[destination] for destination in known)
    return Merged(Snapshot(records, notes), len(records) - len(known), newer, len(ours.records) - len(known), len(known) - newer)


def latest_first(repositories: Iterable[str]) -> tuple[str, ...]:
    """Return *repositories*, the latest first, each once, at most four."""
    return tuple(dict.fromkeys(repositories))[:REPOSITORIES_PER_BLOB]


def _three_way(ours: Mapping[str, Value], theirs: Mapping[str, Value], base: Mapping[str, Value], both: Callable[[Value, Value], Value]) -> dict[str, Value]:
    result: dict[str, Value] = {}
    for key in (*ours, *(key for key in theirs if key not in ours)):
        mine, other, began = ours.get(key), theirs.get(key), base.get(key)
        if mine == began:
            value = other
        elif other == began:
            value = mine
        else:
            # Changed on both sides; what one forgot and the other renewed is there.
            value = both(mine, other) if mine is not None and other is not None else mine if other is None else other
        if value is not None:
            result[key] = value
    return result


def _newer(ours: Record, theirs: Record) -> Record:
    return theirs if theirs.applied_at > ours.applied_at else ours


def _both_repositories(ours: str, theirs: str) -> str:
    return " ".join(latest_first((*ours.split(), *theirs.split())))


def _ours(ours: str, theirs: str) -> str:  # noqa: ARG001 - one of several ways to choose
    return ours
