"""
Cut a plan into batches.

Shared blobs first, each once to its home. Then units of repositories, the one with the most work first. A unit is never in two batches at a time, since two
workers would race for its referrers' tags. Pure: no I/O.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Collection, Sequence

from imgsync.oci.spec.reference import Reference
from imgsync.plan.model import COPIES, Change
from imgsync.plan.shards import BlobHome, Partition
from imgsync.system.dataclass import dataclass

MOST_CHANGES = 50
_MOST_BLOBS = 16
_MOST_BYTES = 4 << 30
# Enough batches for each worker that all end at about the same time.
_BATCHES_PER_WORKER = 8


@dataclass(frozen=True, slots=True)
class UnitPart:
    """Changes of one unit, and their places in the plan."""

    number: int
    places: tuple[int, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What goes into one batch: blobs, or changes by unit."""

    blobs: tuple[BlobHome, ...] = ()
    units: tuple[UnitPart, ...] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        """Return the changes of all units, or those of the blobs' homes."""
        if self.blobs:
            return tuple({home.change.destination: home.change for home in self.blobs}.values())
        return tuple(change for unit in self.units for change in unit.changes)

    @property
    def image_count(self) -> int:
        """Return how many images are to be copied; none with shared blobs."""
        return sum(len(unit.changes) for unit in self.units)


class Cutter:
    """Hands out the parts of a plan, one by one."""

    def __init__(self, partition: Partition, mirrors: Collection[str]) -> None:
        """Hand out the copies for *mirrors*."""
        # Where there is only one worker at a time, a home is as good as any: each blob is sent once.
        homes = [one for one in partition.homes if one.change.mirror in mirrors and one.change.action in COPIES]
        self._blobs = deque(sorted(homes, key=lambda one: (-one.blob.size_bytes, one.blob.digest)))
        self._units = [_Unit(partition, places) for places in partition.list_units(mirrors)]
        self._ready = deque(range(len(self._units)))
        self._left = sum(map(len, self._units))
        self._total = self._left
        self._total_blobs = len(self._blobs)

    @property
    def is_empty(self) -> bool:
        """Return whether all was handed out, and not given back."""
        return not self._blobs and not self._left

    def take_blobs(self, workers: int) -> Part | None:
        """Return the next shared blobs, if any are left."""
        count = min(_MOST_BLOBS, -(-self._total_blobs // max(1, workers)))
        found = tuple(self._blobs.popleft() for _ in range(min(count, len(self._blobs))))
        return Part(blobs=found) if found else None

    def take_changes(self, workers: int) -> Part | None:
        """Return the next changes, if any are ready."""
        most = max(1, min(MOST_CHANGES, self._total // (max(1, workers) * _BATCHES_PER_WORKER)))
        taken: list[UnitPart] = []
        count = held = 0
        while self._ready and count < most and held < _MOST_BYTES:
            number = self._ready.popleft()
            found = self._units[number].take(number, most - count, _MOST_BYTES - held)
            taken.append(found)
            count += len(found.changes)
            held += sum(change.size_bytes or 0 for change in found.changes)
        self._left -= count
        return Part(units=tuple(taken)) if taken else None

    def give_back(self, part: Part, left: Collection[Reference]) -> None:
        """Take back what is *left* of an ended *part*; free its units."""
        for taken in reversed(part.units):
            unit = self._units[taken.number]
            before = len(unit)
            unit.give_back([place for place, change in zip(taken.places, taken.changes, strict=True) if change.destination in left])
            self._left += len(unit) - before
            if unit:
                self._ready.appendleft(taken.number)


class _Unit:
    """The places of the changes of one unit that are left."""

    def __init__(self, partition: Partition, places: array[int]) -> None:
        self._partition = partition
        self._places = places
        self._begin = 0

    def __len__(self) -> int:
        return len(self._places) - self._begin

    def take(self, number: int, count: int, most_bytes: int) -> UnitPart:
        """Take at least one change, as many as fit."""
        found: list[Change] = []
        held, begin = 0, self._begin
        while len(self) and len(found) < count and held < most_bytes:
            found.append(self._partition.find_change(self._places[self._begin]))
            held += found[-1].size_bytes or 0
            self._begin += 1
        return UnitPart(number, tuple(self._places[begin : self._begin]), tuple(found))

    def give_back(self, places: Sequence[int]) -> None:
        """Take *places* back, which were taken last."""
        begin = self._begin - len(places)
        self._places[begin : self._begin] = array("q", places)
        self._begin = begin
