"""
Copy one image: blobs, child manifests, referrers, and the tag last.

Never decides whether to copy: the plan did. Spec: docs/explanation/a-copy-on-the-wire.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from imgsync.concurrency.deadline import Deadline
from imgsync.concurrency.workers import map_unordered
from imgsync.errors import ImgsyncError, RegistryError
from imgsync.images.external_layers import ExternalLayers
from imgsync.images.image import Image, ManifestCache, pull_manifest, read_image, select_root
from imgsync.images.left_out import describe_left_out
from imgsync.images.referrer_errors import is_final
from imgsync.images.referrers import ReferrerReader, Referrers
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.manifest import Manifest
from imgsync.transfer.blob_homes import BlobHomes, SharedBlobs
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
        self,
        known: KnownBlobs,
        manifests: ManifestCache,
        referrers: ReferrerReader,
        external_layers: ExternalLayers,
        *,
        create_repository: Callable[[ImageStore, str], bool],
        shared: SharedBlobs | None = None,
    ) -> None:
        """
        Share what the run knows.

        Args:
            known: Which destination repositories hold a blob.
            manifests: The manifests that the plan pulled.
            referrers: What the plan found of referrers.
            external_layers: Which external layers the sources have.
            create_repository: Creates the repository at a path if the operator allows it; returns whether it did.
            shared: Blobs that other shards of the plan need too.
        """
        self._known = known
        self._cache = manifests
        self._referrers = referrers
        self._external_layers = external_layers
        self._blobs = BlobCopier(known, external_layers, BlobHomes(shared or SharedBlobs()), create_repository=create_repository)
        self._manifests = ManifestPusher(known)

    def copy_blob(
        self, job: Job, blob: Descriptor, *, source: ImageStore, destination: ImageStore, deadline: Deadline, progress: Progress, listener: CopyListener
    ) -> None:
        """
        Copy *blob* alone, between the repositories of the job.

        Raises:
            ImgsyncError: It cannot be read, or not be pushed.
        """
        self._blobs.copy_blob(Task(job, source, destination, deadline, progress, listener, Repair(asks=job.asks)), blob)

    def copy_image(self, job: Job, *, source: ImageStore, destination: ImageStore, deadline: Deadline, progress: Progress, listener: CopyListener) -> Copied:
        """
        Copy one image and return what the destination serves now.

        Raises:
            ImgsyncError: The copy failed; the tag is unchanged. If only referrers failed for good, the error is in the result.
        """
        deadline.check()
        pulled = pull_manifest(source, job.source, self._cache)
        repository = job.source.repository
        selected = select_root(source, repository, pulled, job.platforms, cache=self._cache)
        image = read_image(source, repository, selected, cache=self._cache, limit=job.blobs_at_once)
        absent = self._external_layers.list_absent(source, repository, image.blobs, limit=job.blobs_at_once)
        # An index reduced to some platforms has a new digest; referrers of the original do not apply to it.
        subject = image.root.digest if image.root.digest == pulled.digest else ""
        task = Task(job, source, destination, deadline, progress, listener, Repair(asks=job.asks))
        error = self._push_until_complete(task, image, subject)
        return Copied(image.root, image.size_bytes, error, describe_left_out(selected.missing, absent))

    def _push_until_complete(self, task: Task, image: Image, subject: str) -> ImgsyncError | None:
        """
        Push *image*; bring parts again that the destination turns out to lack.

        Returns why not all of its referrers were copied, if so.
        """
        retry_policy = task.destination.retry_policy
        for repairs_left in reversed(range(max(_LEAST_ATTEMPTS, retry_policy.attempts))):
            task.repair.begin_attempt()
            try:
                failed = self._push_content(task, image, subject)
                again = self._plan_repair(task, failed) if repairs_left else None
                if again is None:
                    self._push_tag(task, image.root)
                    return failed
            except RegistryError as error:
                again = self._plan_repair(task, error) if repairs_left else None
                if again is None:
                    raise
            self._forget(task, again)
            task.progress.attempts += 1
            # A registry of several nodes may see late what another node took.
            retry_policy.pause(retry_policy.interval_seconds)
        return None

    def _plan_repair(self, task: Task, error: ImgsyncError | None) -> Collection[str] | None:
        return task.repair.plan(error) if isinstance(error, RegistryError) else None

    def _forget(self, task: Task, digests: Collection[str]) -> None:
        """Forget that the destination repository holds *digests*."""
        for digest in digests:
            self._known.mark_missing(task.repository, digest)
        task.progress.missing_digests.extend(digests)
        self._manifests.forget(task.repository, digests)

    def _push_content(self, task: Task, image: Image, subject: str) -> ImgsyncError | None:
        """Push everything but the tag; return why referrers are missing."""
        blobs = ImageBlobs(self._blobs, self._referrers, task, image, subject)
        referrers = blobs.copy()
        self._push_parts(task, image)
        # After the manifest they refer to, and before the tag: who pulls by tag finds the signatures.
        return (self._push_referrers(task, image.root, referrers) if referrers else None) or blobs.error

    def _push_referrers(self, task: Task, root: Manifest, referrers: Referrers) -> ImgsyncError | None:
        """Push *root* by digest and *referrers*; return a final error."""
        try:
            if _has_to_move(task, root):
                self._manifests.push(task, root)
            self._manifests.attach(task, referrers)
        except ImgsyncError as error:
            if not is_final(error):
                raise
            return error
        return None

    def _push_tag(self, task: Task, root: Manifest) -> None:
        if _has_to_move(task, root):
            task.deadline.check()
            self._manifests.push_tag(task, root)

    def _push_parts(self, task: Task, image: Image) -> None:
        """Push the manifests below the root, children before parents, siblings in parallel."""
        left = {part.digest: part for part in image.below}
        while left:
            ready = [part for part in left.values() if not any(child.digest in left for child in part.children)]
            for _ in map_unordered(lambda part: self._manifests.push_part(task, part), ready, limit=task.job.blobs_at_once):
                pass
            for part in ready:
                del left[part.digest]


def _has_to_move(task: Task, root: Manifest) -> bool:
    """Return whether the tag does not serve *root* yet."""
    return task.job.destination_digest is None or not root.matches(task.job.destination_digest)
