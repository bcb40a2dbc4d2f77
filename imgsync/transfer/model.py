"""The values of one copy: the job, its progress and its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, Protocol

from imgsync.concurrency.deadline import Deadline
from imgsync.errors import ImgsyncError
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.platform import Platform
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.transfer.repair import Repair


@dataclass(frozen=True, slots=True)
class Job:
    """
    One image to copy.

    `source` is by digest, `destination` by tag; `platforms` of None copies all. `destination_digest` is what the tag names
    now: that digest is not pushed again, only its referrers are. `registries` are all that get this image now, this
    destination's included: they share one read of the source. With `asks` no record of blobs counts: the destination is asked.
    `pushed_tags` are the referrer tags of the last copy, with their digests: what the destination still has of them, we may replace.
    """

    source: Reference
    destination: Reference
    platforms: tuple[Platform, ...] | None
    blobs_at_once: int
    referrers: Sequence[str] | bool = False
    destination_digest: str | None = None
    pushed_tags: Mapping[str, str] = field(default_factory=dict)
    registries: frozenset[str] = frozenset()
    asks: bool = False


class BlobResult(IntEnum):
    """How a blob got into a repository, the cheapest way first."""

    PRESENT = 0
    MOUNTED = 1
    COPIED = 2


@dataclass(slots=True)
class Progress:
    """What one copy moved so far; only the copy writes it."""

    bytes_copied: int = 0
    attempts: int = 1
    blob_results: dict[str, BlobResult] = field(default_factory=dict)
    """How each blob got there, by digest: a copy that tries again finds what it sent before."""
    confirmed_sizes: dict[str, int | None] = field(default_factory=dict)
    """Blobs and manifests that the destination repository took, with their sizes, None if unknown."""
    found_sizes: dict[str, int | None] = field(default_factory=dict)
    """Blobs that it turned out to have; who gave them is unknown."""
    missing_digests: list[str] = field(default_factory=list)
    """Those that were recorded, and that it turned out to lack."""

    def note_blob(self, digest: str, result: BlobResult) -> None:
        """Note how a blob got there; what was sent once stays sent."""
        self.blob_results[digest] = max(result, self.blob_results.get(digest, result))

    def add(self, other: Progress) -> None:
        """Add what another repository took for the same image."""
        self.bytes_copied += other.bytes_copied
        self.attempts = max(self.attempts, other.attempts)
        for digest, result in other.blob_results.items():
            if result is BlobResult.COPIED:
                self.note_blob(digest, result)

    def count_blobs(self, result: BlobResult) -> int:
        """Return how many blobs have *result*."""
        return sum(one is result for one in self.blob_results.values())


class CopyListener(Protocol):
    """Follows the progress of one copy."""

    def on_bytes(self, size_bytes: int) -> None:
        """Bytes moved; negative when an attempt starts again."""

    def on_need(self, blob: Descriptor) -> None:
        """The blob's bytes have to be moved; may be called again."""

    def on_spare(self, blob: Descriptor) -> None:
        """Another image moves the blob's bytes."""

    def on_found(self, blob: Descriptor) -> None:
        """The destination turned out to have the blob."""

    def on_blob(self, how: Literal["copied", "mounted", "present"], blob: Descriptor, *, mounted_from: str = "") -> None:
        """A blob is in the destination repository, perhaps mounted from *mounted_from*."""

    def on_warning(self, reason: str) -> None:
        """Something was skipped."""


@dataclass(frozen=True, slots=True)
class Copied:
    """
    The root manifest as pushed, and the compressed size of the image.

    `error` says why not all referrers were copied, `left_out` what was not copied on purpose.
    """

    root: Manifest
    size_bytes: int
    error: ImgsyncError | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """
    A job with its clients, time limit and progress.

    Every step of the copy gets it. `repair` says what each part needs.
    """

    job: Job
    source: ImageStore
    destination: ImageStore
    deadline: Deadline
    progress: Progress
    listener: CopyListener
    repair: Repair

    @property
    def repository(self) -> Repository:
        """Return the destination repository."""
        return self.job.destination.repository

    def move_to(self, repository: Repository) -> Task:
        """Return the task for another repository, with its own progress."""
        return replace(self, job=replace(self.job, destination=replace(self.job.destination, repository=repository)), progress=Progress())
