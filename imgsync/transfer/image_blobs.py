"""Copy the blobs of one image, and find its referrers meanwhile."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from imgsync.concurrency.workers import Workers
from imgsync.errors import ImgsyncError
from imgsync.images.image import Image
from imgsync.images.referrer_errors import is_final
from imgsync.images.referrers import ReferrerReader, Referrers
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.system.dataclass import dataclass
from imgsync.transfer.blobs import BlobCopier
from imgsync.transfer.model import Task


@dataclass(frozen=True, slots=True)
class _CopyBlob:
    """Copy a blob, or await it if another image is copying it."""

    blob: Descriptor

    @property
    def queue(self) -> Hashable:
        return _CopyBlob


@dataclass(frozen=True, slots=True)
class _AwaitBlob:
    """Wait for a blob that another image is copying."""

    blob: Descriptor

    @property
    def queue(self) -> Hashable:
        # One queue per blob: waiting must not take a place from blobs that can be copied.
        return _AwaitBlob, self.blob.digest


@dataclass(frozen=True, slots=True)
class _FindReferrers:
    """Find what refers to the image, to copy its blobs too."""


_Step = _CopyBlob | _AwaitBlob | _FindReferrers


class ImageBlobs:
    """
    Copies the blobs of one image and of its referrers.

    Referrers that cannot be copied are skipped; `error` is the first reason.
    """

    def __init__(self, blobs: BlobCopier, reader: ReferrerReader, task: Task, image: Image, subject: str) -> None:
        """Prepare; *subject* is the digest that referrers name."""
        self._blobs = blobs
        self._reader = reader
        self._task = task
        self._image = image
        self._subject = subject
        self._own = {blob.digest for blob in image.blobs}
        self._referrers = Referrers()
        self._failed: set[str] = set()
        self._workers: Workers[_Step, None] = Workers(self._run, limit=task.job.blobs_at_once)
        self.error: ImgsyncError | None = None

    def copy(self) -> Referrers:
        """Copy all blobs; return the referrers found meanwhile."""
        self._submit(self._expect(self._image.blobs))
        if self._task.job.referrers is not False:
            # Here, while the blobs are copied.
            self._workers.run(_FindReferrers())
        self._workers.join()
        # It refers to this object, and both would stay until garbage is collected.
        del self._workers
        if not self._failed:
            return self._referrers
        return replace(self._referrers, found=tuple(one for one in self._referrers.found if self._failed.isdisjoint(blob.digest for blob in one.image.blobs)))

    def _expect(self, blobs: Iterable[Descriptor]) -> list[_CopyBlob | _AwaitBlob]:
        """Return the steps that copy *blobs*; report what will have to move."""
        steps: list[_CopyBlob | _AwaitBlob] = []
        for blob in blobs:
            # An external layer is moved only if the source has it.
            if not blob.is_external and self._blobs.is_expected_to_move(self._task, blob):
                self._task.listener.on_need(blob)
            steps.append(_CopyBlob(blob))
        return steps

    def _submit(self, steps: Iterable[_CopyBlob | _AwaitBlob]) -> None:
        for step in steps:
            self._workers.submit(step, queue=step.queue)

    def _run(self, step: _Step) -> None:
        """Run one step, and submit the steps to run next."""
        try:
            self._submit(self._run_step(step))
        except ImgsyncError as error:
            if not is_final(error) or not self._is_of_referrers(step):
                raise
            self.error = self.error or error

    def _is_of_referrers(self, step: _Step) -> bool:
        """Return whether only referrers need *step*, which failed."""
        if isinstance(step, _FindReferrers):
            return True
        self._failed.add(step.blob.digest)
        return step.blob.digest not in self._own

    def _run_step(self, step: _Step) -> Sequence[_CopyBlob | _AwaitBlob]:
        match step:
            case _CopyBlob(blob) if self._blobs.is_arriving(self._task, blob):
                self._task.listener.on_spare(blob)
                return [_AwaitBlob(blob)]
            case _CopyBlob(blob):
                self._blobs.copy_blob(self._task, blob)
                return []
            case _AwaitBlob(blob):
                self._blobs.wait(self._task, blob)
                return [_CopyBlob(blob)]
            case _FindReferrers():
                return self._find_referrers()

    def _find_referrers(self) -> Sequence[_CopyBlob | _AwaitBlob]:
        job = self._task.job
        parts = (part.digest for part in self._image.below)
        self._referrers = self._reader.read(
            self._task.source,
            job.source.repository,
            self._subject,
            parts=parts,
            types=job.referrers,
            limit=job.blobs_at_once,
            noted_as=job.source.digest,
        )
        self.error = self.error or self._referrers.error
        more = {blob.digest: blob for referrer in self._referrers.found for blob in referrer.image.blobs if blob.digest not in self._own}
        return self._expect(more.values())
