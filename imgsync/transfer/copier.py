"""
Copy one image: blobs, child manifests, referrers, and the tag last.

Never decides whether to copy: the plan did. Spec: docs/explanation/a-copy-on-the-wire.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from imgsync.concurrency.deadline import Deadline
from imgsync.concurrency.workers import map_unordered
from imgsync.errors import ImgsyncError, ImmutableTagError, RegistryError
from imgsync.images.image import Image, ManifestCache, pull_manifest, read_image, select_root
from imgsync.images.referrer_errors import is_final, is_part_missing
from imgsync.images.referrers import ReferrerReader, Referrers
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.manifest import Manifest
from imgsync.transfer.blobs import BlobCopier
from imgsync.transfer.image_blobs import ImageBlobs
from imgsync.transfer.known_blobs import KnownBlobs
from imgsync.transfer.manifests import ManifestPusher
from imgsync.transfer.model import Copied, CopyListener, Job, Progress, Task

_TRIES = 2


class Copier:
    """Copies images; one per run, which knows what it copied before."""

    def __init__(
        self, known: KnownBlobs, manifests: ManifestCache, referrers: ReferrerReader, *, create_repository: Callable[[RegistryClient, str], bool]
    ) -> None:
        """
        Share what the run knows.

        Args:
            known: Which destination repositories hold a blob.
            manifests: The manifests that the plan pulled.
            referrers: What the plan found of referrers.
            create_repository: Creates the repository at a path if the operator allows it; returns whether it did.
        """
        self._known = known
        self._cache = manifests
        self._referrers = referrers
        self._blobs = BlobCopier(known, create_repository=create_repository)
        self._manifests = ManifestPusher(known)

    def copy_image(
        self, job: Job, *, source: RegistryClient, destination: RegistryClient, deadline: Deadline, progress: Progress, listener: CopyListener
    ) -> Copied:
        """
        Copy one image and return what the destination serves now.

        Raises:
            ImgsyncError: The copy failed; the tag is unchanged. If only referrers failed for good, the error is in the result.
        """
        deadline.check()
        pulled = pull_manifest(source, job.source, self._cache)
        root = select_root(pulled, job.platforms)
        image = read_image(source, job.source.repository, root, cache=self._cache, limit=job.blobs_at_once)
        # An index reduced to some platforms has a new digest; referrers of the original do not apply to it.
        subject = root.digest if root.digest == pulled.digest else ""
        error = self._push_until_complete(Task(job, source, destination, deadline, progress, listener), image, subject)
        return Copied(root, image.size_bytes, error)

    def _push_until_complete(self, task: Task, image: Image, subject: str) -> ImgsyncError | None:
        """
        Push *image*, again if parts are missing, last without mounting.

        Returns why not all of its referrers were copied, if so.
        """
        # Blobs may be garbage-collected between our look and the push of the manifest.
        for _ in range(_TRIES):
            try:
                return self._push(task, image, subject)
            except RegistryError as error:
                if not is_part_missing(error):
                    raise
                self._forget(task, image)
                task.progress.attempts += 1
        # The registry claims to have what it does not have: send every blob.
        return self._push(replace(task, may_mount=False), image, subject)

    def _forget(self, task: Task, image: Image) -> None:
        """Forget what the destination repository was believed to hold."""
        for digest in (*task.progress.confirmed_digests, *(blob.digest for blob in image.blobs), *(part.digest for part in image.below)):
            self._known.mark_missing(task.repository, digest)
        self._manifests.forget(task.repository)

    def _push(self, task: Task, image: Image, subject: str) -> ImgsyncError | None:
        """Push everything once, the tag last; return why referrers are missing."""
        blobs = ImageBlobs(self._blobs, self._referrers, task, image, subject)
        referrers = blobs.copy()
        self._push_parts(task, image)
        tag_moves = task.job.destination_digest is None or not image.root.matches(task.job.destination_digest)
        error = blobs.error
        if referrers:
            # After the manifest they refer to, and before the tag: who pulls by tag finds the signatures.
            error = self._push_referrers(task, image.root if tag_moves else None, referrers) or error
        if tag_moves:
            task.deadline.check()
            self._push_tag(task, image.root)
        return error

    def _push_referrers(self, task: Task, root: Manifest | None, referrers: Referrers) -> ImgsyncError | None:
        """Push *root* by digest and *referrers*; return a final error."""
        try:
            if root is not None:
                self._manifests.push(task, root)
            self._manifests.attach(task, referrers)
        except ImgsyncError as error:
            if not is_final(error) or (task.may_mount and is_part_missing(error)):
                raise
            return error
        return None

    def _push_parts(self, task: Task, image: Image) -> None:
        """Push the manifests below the root, children before parents, siblings in parallel."""
        left = {part.digest: part for part in image.below}
        while left:
            ready = [part for part in left.values() if not any(child.digest in left for child in part.children)]
            for _ in map_unordered(lambda part: self._manifests.push_part(task, part), ready, limit=task.job.blobs_at_once):
                pass
            for part in ready:
                del left[part.digest]

    def _push_tag(self, task: Task, root: Manifest) -> None:
        """Push *root* by tag."""
        try:
            task.destination.push_manifest(task.job.destination, root)
        except ImmutableTagError:
            # Registries refuse the same manifest too, as when our push arrived and only its response was lost.
            served = task.destination.resolve(task.job.destination)
            if served is None or not root.matches(served.digest):
                raise
