"""The part of a saved plan that one run applies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from imgsync.oci.spec.reference import Repository
from imgsync.partition.shard import Shard
from imgsync.plan.shards import BlobHome, Partition
from imgsync.system.dataclass import dataclass
from imgsync.transfer import SharedBlobs

if TYPE_CHECKING:
    from imgsync.apply.copy_change import FinishedChange
    from imgsync.apply.copy_shared import FinishedBlob


@dataclass(frozen=True, slots=True)
class ShardPart:
    """
    What one shard does beside its changes.

    Attributes:
        shard: Which one.
        blobs: The shared blobs that it copies first.
        shared: The homes of all shared blobs.
        filled: Destination repositories that had content when the plan was made.
        on_changes: Receives finished changes.
        on_blob: Receives each finished shared blob.
    """

    shard: Shard
    blobs: tuple[BlobHome, ...]
    shared: SharedBlobs
    filled: frozenset[Repository]
    on_changes: Callable[[Sequence[FinishedChange]], None]
    on_blob: Callable[[FinishedBlob], None]


def list_shared(partition: Partition, shard: Shard, *, wait_seconds: float) -> SharedBlobs:
    """Return the shared blobs of *partition* as *shard* sees them."""
    return SharedBlobs(
        homes={one.place: one.repository.path for one in partition.homes},
        own=frozenset(one.place for one in partition.list_blobs(shard)),
        wait_seconds=wait_seconds,
    )
