"""
Divide a plan into shards.

Two phases. `shared`: blobs that several repositories need, each once, to its home: one of these repositories, from which the others mount it.
Then units: repositories that stay together, because they share a source repository or a destination repository, most work first. A shard copies
its part of the shared blobs before its units, so the first phase may be a job of its own or none.

Which shard a change or a blob belongs to depends on the saved plan alone. Pure: no I/O.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import cached_property

from imgsync.oci.spec.reference import Repository
from imgsync.partition.shard import Shard
from imgsync.partition.spread import spread
from imgsync.partition.units import join_units
from imgsync.plan.content import PlanContent, SharedBlob
from imgsync.plan.model import COPIES, Change, Plan, encode_canonical
from imgsync.plan.packed_changes import pack_changes
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_count

# What a request costs beside the bytes: a small image takes as long as two megabytes.
REQUEST_BYTES = 256 << 10
_REQUESTS_OF_BLOB = 3
_HEX = 16
_HOME_DIGITS = 8


@dataclass(frozen=True, slots=True)
class BlobHome:
    """A shared blob, and the change whose repository is its home."""

    blob: SharedBlob
    change: Change

    @property
    def repository(self) -> Repository:
        """Return the repository from which the others mount the blob."""
        return self.change.destination.repository

    @property
    def place(self) -> tuple[str, str, str]:
        """Return destination registry, source registry and digest."""
        return self.repository.registry, self.change.source.repository.registry, self.blob.digest


class Partition:
    """A plan, divided into *count* shards."""

    def __init__(self, plan: Plan, count: int) -> None:
        """Divide the plan as it was saved."""
        self._plan = plan
        self._count = count
        self._content = plan.content or PlanContent()

    def select(self, shard: Shard) -> Plan:
        """Return the part that *shard* applies; `shared` has no changes."""
        changes = () if shard.is_shared else pack_changes(change for change in self._plan.changes if self.find_shard(change) == shard)
        mirrors = {change.mirror for change in changes}
        return replace(
            self._plan,
            changes=changes,
            mirrors=tuple(replace(notes, steps=(), returned=()) for notes in self._plan.mirrors if notes.mirror in mirrors),
            transfer_bytes=self._count_bytes(shard, changes),
            requests=(),
            applying=(),
            pulls=(),
            gone=(),
            known_id=self._plan.id,
            part=f"phase shared with {format_count(len(self.homes), 'blob')}" if shard.is_shared else f"shard {shard}",
        )

    def find_shard(self, change: Change) -> Shard:
        """Return the shard that applies *change*."""
        return Shard(self._shares[self._units[_name_destination(change)]] + 1, self._count)

    def list_blobs(self, shard: Shard) -> tuple[BlobHome, ...]:
        """Return the shared blobs that *shard* copies first, the largest first."""
        mine = self.homes if shard.is_shared else (one for one in self.homes if self._blob_shares[_name_blob(one)] == shard.number - 1)
        return tuple(sorted(mine, key=lambda one: (-one.blob.size_bytes, one.blob.digest)))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides about the division."""
        # The plan's id covers its changes only.
        found = hashlib.sha256(encode_canonical(self._content.document))
        for change in self._plan.changes:
            found.update(encode_canonical(change.document))
        return found.hexdigest()[:32]

    @cached_property
    def homes(self) -> tuple[BlobHome, ...]:
        """The home of each shared blob."""
        places = {_choose_home(blob) for blob in self._content.shared}
        # The places count kept tags too, which a plan that was just made does not hold as values.
        found = {place: change for place, change in enumerate(self._plan.iter_changes() if places else ()) if place in places}
        return tuple(BlobHome(blob, found[_choose_home(blob)]) for blob in self._content.shared)

    @cached_property
    def filled(self) -> frozenset[Repository]:
        """The destination repositories that had content when the plan was made."""
        names = {one.repository for one in self._content.repositories if one.has_content}
        return frozenset(one for change in self._plan.copies if str(one := change.destination.repository) in names)

    def list_units(self, mirrors: Collection[str]) -> tuple[array[int], ...]:
        """
        Return the places of the copies for *mirrors* that stay together.

        These are numbers in the plan's changes. The unit with the most work is first.
        """
        found: dict[str, array[int]] = {}
        for place, change in enumerate(self._plan.changes):
            if change.action in COPIES and change.mirror in mirrors:
                found.setdefault(self._units[_name_destination(change)], array("q")).append(place)
        return tuple(found[unit] for unit in sorted(found, key=lambda unit: (-self._weights[unit], unit)))

    def find_change(self, place: int) -> Change:
        """Return the change at *place* of the plan's changes."""
        return self._plan.changes[place]

    @cached_property
    def loads(self) -> tuple[int, ...]:
        """The weight of each shard, in bytes, without shared blobs."""
        found: Counter[int] = Counter()
        for unit, weight in self._weights.items():
            found[self._shares[unit]] += weight
        return tuple(found[number] for number in range(self._count))

    @cached_property
    def _units(self) -> Mapping[str, str]:
        return join_units((_name_destination(change), f"source {change.source.repository}") for change in self._plan.changes)

    @cached_property
    def _weights(self) -> Mapping[str, int]:
        weights: Counter[str] = Counter()
        for change in self._plan.changes:
            weights[self._units[_name_destination(change)]] += 1
        for one in self._content.repositories:
            if (unit := self._units.get(f"destination {one.repository}")) is not None:
                weights[unit] += one.own_bytes + REQUEST_BYTES * one.requests
        return weights

    @cached_property
    def _shares(self) -> Mapping[str, int]:
        return spread(self._weights, max(1, self._count))

    @cached_property
    def _blob_shares(self) -> Mapping[str, int]:
        return spread({_name_blob(one): one.blob.size_bytes + REQUEST_BYTES * _REQUESTS_OF_BLOB for one in self.homes}, max(1, self._count))

    def _count_bytes(self, shard: Shard, changes: Iterable[Change]) -> int:
        """Return how many bytes *shard* transfers at most."""
        repositories = {str(change.destination.repository) for change in changes if change.action in COPIES}
        own = sum(one.own_bytes for one in self._content.repositories if one.repository in repositories)
        return min(self._plan.transfer_bytes, own + sum(one.blob.size_bytes for one in self.list_blobs(shard)))


def _choose_home(blob: SharedBlob) -> int:
    """Choose the home of *blob* by its digest, to spread homes."""
    return blob.changes[int(blob.digest.partition(":")[2][:_HOME_DIGITS], _HEX) % len(blob.changes)]


def _name_destination(change: Change) -> str:
    return f"destination {change.destination.repository}"


def _name_blob(home: BlobHome) -> str:
    # One digest may have several homes: at each destination registry, and for each source registry.
    return " ".join(home.place)
