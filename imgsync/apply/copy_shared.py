"""
Copy the blobs that several repositories need, each to its home.

A failure costs nothing: the images that need the blob copy it themselves, and report what is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from imgsync.apply.listener import ProgressListener
from imgsync.apply.report import Result, SharedCopies, add_shared
from imgsync.concurrency.deadline import Deadline
from imgsync.config.model import Mirror
from imgsync.errors import ImgsyncError, StoppedError
from imgsync.logs.logger import Logger
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Reference
from imgsync.plan.context import PlanContext
from imgsync.plan.model import PlanError
from imgsync.plan.shards import BlobHome
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_count
from imgsync.transfer import BlobResult, Copier, Job, Progress

_AGAIN = "run it again, or run the shards: they copy what they need"
_MEDIA_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class FinishedBlob:
    """A shared blob, how it ended, and what its copy moved."""

    home: BlobHome
    result: Result
    progress: Progress
    error: ImgsyncError | None = None

    @property
    def reference(self) -> Reference:
        """Return the blob in its home."""
        return self.home.repository.with_digest(self.home.blob.digest)


def copy_shared_blob(home: BlobHome, mirror: Mirror, copier: Copier, *, context: PlanContext, deadline: Deadline, listener: ProgressListener) -> FinishedBlob:
    """Copy one blob to its home, unless it is there."""
    progress = Progress()
    job = Job(
        source=home.change.source.repository.with_digest(home.blob.digest),
        destination=home.repository.with_tag(home.change.destination.tag),
        platforms=None,
        blobs_at_once=mirror.concurrency.blobs,
        registries=frozenset({home.repository.registry}),
    )
    try:
        copier.copy_blob(
            job,
            Descriptor(_MEDIA_TYPE, home.blob.digest, home.blob.size_bytes),
            source=context.registries.make_source_client(mirror, check=deadline.check),
            destination=context.registries.make_destination_client(home.repository.registry, mirror, check=deadline.check),
            deadline=deadline,
            progress=progress,
            listener=_BlobListener(home, listener, context.log),
        )
    except StoppedError as error:
        return FinishedBlob(home, Result.REMAINING, progress, error)
    except ImgsyncError as error:
        context.log.warning("shared.failed", mirror=mirror.name, destination=str(home.repository), digest=home.blob.digest, error=error.message)
        return FinishedBlob(home, Result.FAILED, progress, error)
    return FinishedBlob(home, Result.COPIED, progress)


def leave_shared_blob(home: BlobHome) -> FinishedBlob:
    """Leave a blob for which there is no time."""
    return FinishedBlob(home, Result.REMAINING, Progress(), StoppedError("no time was left"))


def sum_shared(finished: Iterable[FinishedBlob]) -> tuple[SharedCopies, ...]:
    """Return what the copies of *finished* moved, by mirror."""
    return add_shared(
        SharedCopies(
            one.home.change.mirror,
            one.progress.bytes_copied,
            one.progress.count_blobs(BlobResult.COPIED),
            one.progress.count_blobs(BlobResult.MOUNTED),
            one.progress.count_blobs(BlobResult.PRESENT),
        )
        for one in finished
    )


def list_blob_errors(finished: Iterable[FinishedBlob]) -> tuple[PlanError, ...]:
    """Return an error for each failed blob, and one for those left."""
    failed: list[PlanError] = []
    left: Counter[str] = Counter()
    for one in finished:
        mirror = one.home.change.mirror
        if one.result is Result.REMAINING:
            left[mirror] += 1
        elif one.error is not None:
            failed.append(PlanError(mirror, str(one.reference), one.error.message, one.error.advice, planned=True))
    remaining = (PlanError(mirror, mirror, f"{format_count(count, 'shared blob')} left", _AGAIN, later=True) for mirror, count in sorted(left.items()))
    return (*failed, *remaining)


class _BlobListener:
    """Counts the bytes of one shared blob, which is of no image."""

    def __init__(self, home: BlobHome, listener: ProgressListener, log: Logger) -> None:
        self._home = home
        self._listener = listener
        self._log = log

    def on_bytes(self, size_bytes: int) -> None:
        self._listener.on_shared_bytes(size_bytes)

    def on_need(self, blob: Descriptor) -> None:
        """Ignore it: the plan counts the blob."""

    def on_spare(self, blob: Descriptor) -> None:
        """Ignore it."""

    def on_found(self, blob: Descriptor) -> None:
        self._listener.on_found(blob.size_bytes)

    def on_blob(self, how: str, blob: Descriptor, *, mounted_from: str = "") -> None:
        more = {"mounted_from": mounted_from} if mounted_from else {}
        destination = str(self._home.repository)
        self._log.debug(f"blob.{how}", mirror=self._home.change.mirror, destination=destination, digest=blob.digest, size_bytes=blob.size_bytes, **more)

    def on_warning(self, reason: str) -> None:
        """Ignore it: a blob has no referrers."""
