"""A part of a plan for one worker, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from imgsync.apply.shard_outcome import FoundBlobs, ShardOutcome
from imgsync.oci.spec.manifest import Manifest
from imgsync.partition.shard import Shard
from imgsync.plan.model import Change
from imgsync.system.dataclass import dataclass

# The largest message, in either direction.
MESSAGE_BYTES = 1 << 20
# An answer names its batch as a part of the plan, and a batch is one whole part.
WHOLE = Shard(1, 1)


class BatchKind(StrEnum):
    """What a batch copies: shared blobs to their homes, or images."""

    BLOBS = "blobs"
    CHANGES = "changes"


class RefusedReason(StrEnum):
    """Why a message of a fleet does nothing."""

    BATCH = "batch"
    IMPOSSIBLE = "impossible"
    NOT_OURS = "not_ours"
    NOT_SIGNED = "not_signed"
    OTHER_RUN = "other_run"
    REPEATED = "repeated"
    TOO_LARGE = "too_large"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class BatchBlob:
    """A blob to copy to its home, the repository of `change`."""

    digest: str
    size_bytes: int
    change: int


@dataclass(frozen=True, slots=True)
class Batch:
    """
    A part of a plan for one worker.

    Attributes:
        run: Identifies the run of the coordinator; a secret of coordinator and workers.
        id: Identifies the batch within the run.
        attempt: How often the batch was sent, from 1.
        plan_id: The id of the plan.
        version: The version of imgsync.
        created_at: When it was sent (RFC 3339): an old one is not carried out.
        kind: What is copied.
        declarations: The digest of each mirror's declaration.
        changes: Creates and updates; of shared blobs, those of their homes.
        blobs: The shared blobs to copy.
        homes: What destination repositories are known to have. Which source gave it, a worker finds out.
        filled: Destination repositories that had content before the run.
        manifests: Manifests that the coordinator read.
        referrer_tags: The referrers' tags of source repositories, for those whose tags were listed.
        workers: How many workers share rates and connections.
        budget_seconds: How long the worker may take.
    """

    run: str
    id: int
    attempt: int
    plan_id: str
    version: str
    created_at: str
    kind: BatchKind
    declarations: Mapping[str, str]
    changes: tuple[Change, ...]
    blobs: tuple[BatchBlob, ...] = ()
    homes: tuple[FoundBlobs, ...] = ()
    filled: tuple[str, ...] = ()
    manifests: tuple[Manifest, ...] = field(default=(), repr=False)
    referrer_tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    workers: int = 1
    budget_seconds: float = 600.0

    @property
    def image_count(self) -> int:
        """Return how many images are to be copied; none with shared blobs."""
        return len(self.changes) if self.kind is BatchKind.CHANGES else 0


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a worker did with a batch.

    `refused` says why it did nothing, "" if it did something.
    """

    run: str
    batch: int
    worker: str
    done: ShardOutcome
    refused: str = ""
