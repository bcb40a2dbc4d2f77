"""
Merge two states record by record.

With a common base this is a three-way merge: a change or removal on one side wins. Without one, everything on either side stays.
If both sides changed the same record, the newer one wins. Pure: no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from imgsync.state.blob_note import join_texts
from imgsync.state.record import Record
from imgsync.state.snapshot import BLOB, EMPTY, GONE, REFERRERS, REMAINING, RUN, SEEN, SUCCESS, Snapshot
from imgsync.system.dataclass import dataclass

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class MergeResult:
    """
    A merged state, and how it differs from ours.

    The counts are of records: added, replaced by `newer` ones, removed, or kept as they were.
    """

    snapshot: Snapshot
    added: int
    newer: int
    removed: int
    kept: int


def merge(ours: Snapshot, theirs: Snapshot, base: Snapshot = EMPTY) -> MergeResult:
    """
    Return *ours* with the changes that *theirs* made since *base*.

    If both sides changed the same entry: the record with the later `applied_at` wins (adopted ones are oldest, ours wins a tie),
    the earliest first sight, also of a tag that is gone, the latest success, and the repositories of both for a blob, ours first. The last run's remaining
    changes and requeue count are ours, unless we have none. An earlier version writes a record without its mirror: that is not a change.

    *base* is the last common state, empty if unknown.
    """
    known = (restore_mirrors(ours.records, theirs.records), restore_mirrors(theirs.records, ours.records))
    records = _three_way(*known, base.records, _pick_newer)
    our_queue, their_queue, base_queue = ours.notes[REMAINING], theirs.notes[REMAINING], base.notes[REMAINING]
    notes = {
        BLOB: _three_way(ours.notes[BLOB], theirs.notes[BLOB], base.notes[BLOB], join_texts),
        REFERRERS: _three_way(ours.notes[REFERRERS], theirs.notes[REFERRERS], base.notes[REFERRERS], _pick_ours),
        SEEN: _three_way(ours.notes[SEEN], theirs.notes[SEEN], base.notes[SEEN], min),
        # A queue: two of them cannot be merged without losing the order.
        REMAINING: their_queue if our_queue == base_queue else our_queue,
        SUCCESS: _three_way(ours.notes[SUCCESS], theirs.notes[SUCCESS], base.notes[SUCCESS], max),
        RUN: _three_way(ours.notes[RUN], theirs.notes[RUN], base.notes[RUN], _pick_ours),
        GONE: _three_way(ours.notes[GONE], theirs.notes[GONE], base.notes[GONE], min),
    }
    common = ours.records.keys() & records.keys()
    newer = sum(records[destination] != ours.records[destination] for destination in common)
    return MergeResult(Snapshot(records, notes), len(records) - len(common), newer, len(ours.records) - len(common), len(common) - newer)


def restore_mirrors(records: Mapping[str, Record], known: Mapping[str, Record]) -> Mapping[str, Record]:
    """Return *records* with mirrors from *known*, dropped by an earlier version."""
    nameless = ((destination, known.get(destination)) for destination, record in records.items() if not record.mirror)
    found = {destination: one for destination, one in nameless if one is not None and one.mirror and replace(one, mirror="") == records[destination]}
    return {**records, **found} if found else records


def has_same_contents(records: Mapping[str, Record], others: Mapping[str, Record]) -> bool:
    """Return whether both differ at most in mirrors."""
    if records == others or records.keys() != others.keys():
        return records == others
    return all(record == replace(others[destination], mirror=record.mirror) for destination, record in records.items())


def _three_way(ours: Mapping[str, Value], theirs: Mapping[str, Value], base: Mapping[str, Value], resolve: Callable[[Value, Value], Value]) -> dict[str, Value]:
    result: dict[str, Value] = {}
    for key in (*ours, *(key for key in theirs if key not in ours)):
        mine, other, common = ours.get(key), theirs.get(key), base.get(key)
        if mine == common:
            value = other
        elif other == common:
            value = mine
        else:
            # Both changed it. Removed on one side and renewed on the other: keep it.
            value = resolve(mine, other) if mine is not None and other is not None else mine if other is None else other
        if value is not None:
            result[key] = value
    return result


def _pick_newer(ours: Record, theirs: Record) -> Record:
    return theirs if theirs.applied_at > ours.applied_at else ours


def _pick_ours(ours: str, theirs: str) -> str:  # noqa: ARG001 - the signature of every resolver
    return ours
