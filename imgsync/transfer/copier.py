"""
Copy one image: blobs, child manifests, referrers, and the tag last.

Never decides whether to copy: the plan did. Spec: docs/explanation/a-copy-on-the-wire.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from imgsync.concurrency.deadline import Deadline
from imgsync.concurrency.workers import map_unordered
from imgsync.errors import RegistryError
from imgsync.images.image import Image, ManifestCache, pull_manifest, read_image, select_root
from imgsync.images.referrers import ReferrerReader
from imgsync.oci.registry import RegistryClient
from imgsync.transfer.blobs import BlobCopier
from imgsync.transfer.image_blobs import ImageBlobs
from imgsync.transfer.known_blobs import KnownBlobs
from imgsync.transfer.manifests import ManifestPusher
from imgsync.transfer.model import Copied, CopyListener, Job, Progress, Task
from imgsync.transfer.repair import Repair

# Even with `retry.attempts: 1`: to bring what is missing is not to try the same again.
_LEAST_ATTEMPTS = 3


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
        self._push_until_complete(Task(job, source, destination, deadline, progress, listener, Repair(asks=job.asks)), image, subject)
        return Copied(root, image.size_bytes)

    def _push_until_complete(self, task: Task, image: Image, subject: str) -> None:
        """Push *image*; bring parts again that the destination turns out to lack."""
        retry_policy = task.destination.retry_policy
        for repairs_left in reversed(range(max(_LEAST_ATTEMPTS, retry_policy.attempts))):
            task.repair.begin_attempt()
            try:
                self._push(task, image, subject)
            except RegistryError as error:
                again = task.repair.plan(error) if repairs_left else None
                if again is None:
                    raise
            else:
                return
            self._forget(task, again)
            task.progress.attempts += 1
            # A registry of several nodes may see late what another node took.
            retry_policy.pause(retry_policy.interval_seconds)

    def _forget(self, task: Task, digests: Collection[str]) -> None:
        """Forget that the destination repository holds *digests*."""
        for digest in digests:
            self._known.mark_missing(task.repository, digest)
        task.progress.missing_digests.extend(digests)
        self._manifests.forget(task.repository, digests)

    def _push(self, task: Task, image: Image, subject: str) -> None:
        """Push everything once, the tag last."""
        referrers = ImageBlobs(self._blobs, self._referrers, task, image, subject).copy()
        self._push_parts(task, image)
        tag_moves = task.job.destination_digest != image.root.digest
        if referrers:
            # After the manifest they refer to, and before the tag: who pulls by tag finds the signatures.
            if tag_moves:
                self._manifests.push(task, image.root)
            self._manifests.attach(task, referrers)
        if tag_moves:
            task.deadline.check()
            self._manifests.push_tag(task, image.root)

    def _push_parts(self, task: Task, image: Image) -> None:
        """Push the manifests below the root, children before parents, siblings in parallel."""
        left = {part.digest: part for part in image.below}
        while left:
            ready = [part for part in left.values() if not any(child.digest in left for child in part.children)]
            for _ in map_unordered(lambda part: self._manifests.push_part(task, part), ready, limit=task.job.blobs_at_once):
                pass
            for part in ready:
                del left[part.digest]
