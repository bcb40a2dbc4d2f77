"""
Copy one image: blobs, child manifests, referrers, and the tag last.

Never decides whether to copy: the plan did. Spec: docs/explanation/a-copy-on-the-wire.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from imgsync.concurrency.deadline import Deadline
from imgsync.concurrency.workers import map_unordered
from imgsync.errors import ImmutableTagError, RegistryError
from imgsync.images.image import Image, ManifestCache, pull_manifest, read_image, select_root
from imgsync.images.referrers import ReferrerReader
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.manifest import Manifest
from imgsync.transfer.blobs import BlobCopier
from imgsync.transfer.image_blobs import ImageBlobs
from imgsync.transfer.known_blobs import KnownBlobs
from imgsync.transfer.manifests import ManifestPusher
from imgsync.transfer.model import Copied, CopyListener, Job, Progress, Task

_PART_MISSING_CODES = {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"}


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
            ImgsyncError: The copy failed; the tag is unchanged.
        """
        deadline.check()
        pulled = pull_manifest(source, job.source, self._cache)
        root = select_root(pulled, job.platforms)
        image = read_image(source, job.source.repository, root, cache=self._cache, limit=job.blobs_at_once)
        # An index reduced to some platforms has a new digest; referrers of the original do not apply to it.
        subject = root.digest if root.digest == pulled.digest else ""
        self._push_until_complete(Task(job, source, destination, deadline, progress, listener), image, subject)
        return Copied(root, image.size_bytes)

    def _push_until_complete(self, task: Task, image: Image, subject: str) -> None:
        """Push *image*, again if parts are missing, last without mounting."""
        # Blobs may be garbage-collected between our look and the push of the manifest.
        if self._is_push_complete(task, image, subject):
            return
        if self._is_push_complete(task, image, subject):
            return
        # The registry claims to have what it does not have: send every blob.
        self._push(replace(task, may_mount=False), image, subject)

    def _is_push_complete(self, task: Task, image: Image, subject: str) -> bool:
        """Push *image*; return False if the registry misses a part of it."""
        try:
            self._push(task, image, subject)
        except RegistryError as error:
            if error.code not in _PART_MISSING_CODES:
                raise
            self._forget(task, image)
            task.progress.attempts += 1
            return False
        return True

    def _forget(self, task: Task, image: Image) -> None:
        """Forget what the destination repository was believed to hold."""
        for digest in (*task.progress.confirmed_digests, *(blob.digest for blob in image.blobs), *(part.digest for part in image.below)):
            self._known.mark_missing(task.repository, digest)
        self._manifests.forget(task.repository)

    def _push(self, task: Task, image: Image, subject: str) -> None:
        """Push everything once, the tag last."""
        referrers = ImageBlobs(self._blobs, self._referrers, task, image, subject).copy()
        self._push_parts(task, image)
        tag_moves = task.job.destination_digest is None or not image.root.matches(task.job.destination_digest)
        if referrers:
            # After the manifest they refer to, and before the tag: who pulls by tag finds the signatures.
            if tag_moves:
                self._manifests.push(task, image.root)
            self._manifests.attach(task, referrers)
        if tag_moves:
            task.deadline.check()
            self._push_tag(task, image.root)

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
