"""
Cut a plan into batches.

Shared blobs first, each once to its home. Then units of repositories, the one with the most work first. A unit is never in two batches at a time, since two
workers would race for its referrers' tags. Pure: no I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from imgsync.oci.spec.reference import Reference
from imgsync.plan.model import Change
from imgsync.plan.shards import BlobHome, Partition
from imgsync.system.dataclass import dataclass

MOST_CHANGES = 50
_MOST_BLOBS = 16
_MOST_BYTES = 4 << 30
# Enough batches for each worker that all end at about the same time.
_BATCHES_PER_WORKER = 8


@dataclass(frozen=True, slots=True)
class Part:
    """What goes into one batch: blobs, or changes by unit number."""

    blobs: tuple[BlobHome, ...] = ()
    units: tuple[tuple[int, tuple[Change, ...]], ...] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        """Return the changes of all units, or those of the blobs' homes."""
        if self.blobs:
            return tuple({home.change.destination: home.change for home in self.blobs}.values())
        return tuple(change for _, changes in self.units for change in changes)

    @property
    def image_count(self) -> int:
        """Return how many images are to be copied; none with shared blobs."""
        return sum(len(changes) for _, changes in self.units)


class Cutter:
    """Hands out the parts of a plan, one by one."""

    def __init__(self, partition: Partition, selected: Collection[Reference]) -> None:
        """Hand out the copies to the destinations *selected*."""
        # Where there is only one worker at a time, a home is as good as any: each blob is sent once.
        homes = [one for one in partition.homes if one.change.destination in selected]
        self._blobs = deque(sorted(homes, key=lambda one: (-one.blob.size_bytes, one.blob.digest)))
        units = ([change for change in unit if change.destination in selected] for unit in partition.units)
        self._units = [deque(unit) for unit in units if unit]
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
        taken: list[tuple[int, tuple[Change, ...]]] = []
        count = held = 0
        while self._ready and count < most and held < _MOST_BYTES:
            number = self._ready.popleft()
            changes = _take(self._units[number], most - count, _MOST_BYTES - held)
            taken.append((number, changes))
            count += len(changes)
            held += sum(change.size_bytes or 0 for change in changes)
        self._left -= count
        return Part(units=tuple(taken)) if taken else None

    def give_back(self, part: Part, left: Collection[Reference]) -> None:
        """Take back what is *left* of an ended *part*; free its units."""
        for number, changes in reversed(part.units):
            remaining = [change for change in changes if change.destination in left]
            self._left += len(remaining)
            self._units[number].extendleft(reversed(remaining))
            if self._units[number]:
                self._ready.appendleft(number)


def _take(unit: deque[Change], count: int, most_bytes: int) -> tuple[Change, ...]:
    """Take at least one change, as many as fit."""
    found: list[Change] = []
    held = 0
    while unit and len(found) < count and held < most_bytes:
        found.append(unit.popleft())
        held += found[-1].size_bytes or 0
    return tuple(found)
