"""
One image to one destination, bottom up: whatever can go on does, and the tag moves last.

Never asks whether to copy: the plan did. Spec: design.md §7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from imgsync.concurrency.deadline import Deadline
from imgsync.concurrency.workers import Workers, map_unordered
from imgsync.errors import ImmutableTagError, RegistryError
from imgsync.images.image import Image, ManifestCache, pull_manifest, read_image, selected_root
from imgsync.images.referrers import ReferrerReader, Referrers
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.manifest import Descriptor, Manifest
from imgsync.transfer.blobs import BlobCarrier
from imgsync.transfer.known_blobs import BlobMemory
from imgsync.transfer.manifests import ManifestPusher
from imgsync.transfer.model import Copied, Job, Observer, Progress, Task

_MISSING = {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"}


@dataclass(frozen=True, slots=True)
class _Step:
    """Something to do, and in which queue; it gives what is to be done next."""

    queue: str
    work: Callable[[], Iterable[_Step]]


class Copier:
    """Copies images. Shared by every image of a run, so that a blob needed by many moves once."""

    def __init__(
        self, memory: BlobMemory, manifests: ManifestCache, referrers: ReferrerReader, *, make_repository: Callable[[RegistryClient, str], bool]
    ) -> None:
        """
        Mount where *memory* knows a blob; take from *manifests* and *referrers* what the plan read.

        *make_repository* is asked once for a repository that a registry does not know, and returns whether it made it.
        """
        self._memory = memory
        self._cache = manifests
        self._referrers = referrers
        self._blobs = BlobCarrier(memory, make_repository=make_repository)
        self._manifests = ManifestPusher(memory)

    def copy_image(
        self, job: Job, *, source: RegistryClient, destination: RegistryClient, deadline: Deadline, progress: Progress, observer: Observer
    ) -> Copied:
        """
        Copy one image and return what the destination serves now; its tag is pushed last, when all is there.

        Raises:
            ImgsyncError: Whatever went wrong; the tag is then as it was.
        """
        deadline.check()
        pulled = pull_manifest(source, job.source, self._cache)
        root = selected_root(pulled, job.platforms)
        image = read_image(source, job.source.repository, root, cache=self._cache, limit=job.blobs_at_once)
        task = Task(job, source, destination, deadline, progress, observer)
        # A new index has another digest: what was said of the old one is not true of it.
        subject = root.digest if root.digest == pulled.digest else ""
        # What we believe to be there may be gone, collected between then and now: ask again. Where what the registry says to have is not there either, send it.
        for last, current in ((False, task), (False, task), (True, replace(task, mounts=False))):
            try:
                self._push(current, image, subject)
                break
            except RegistryError as error:
                if last or error.code not in _MISSING:
                    raise
                self._forget(task, image)
                progress.attempts += 1
        return Copied(root, image.size_bytes)

    def _forget(self, task: Task, image: Image) -> None:
        for digest in (*task.progress.seen, *(blob.digest for blob in image.blobs), *(part.digest for part in image.below)):
            self._memory.forget(task.repository, digest)
        self._manifests.forget(task.repository)

    def _push(self, task: Task, image: Image, subject: str) -> None:
        referrers = self._bring_blobs(task, image, subject)
        self._push_parts(task, image)
        moves = task.job.served != image.root.digest
        if referrers:
            # Before the tag, so that whoever pulls by it finds the signatures; after the manifest that they refer to.
            if moves:
                self._manifests.push(task, image.root)
            self._manifests.attach(task, referrers)
        if moves:
            task.deadline.check()
            self._push_tag(task, image.root)

    def _push_tag(self, task: Task, root: Manifest) -> None:
        try:
            task.destination.push_manifest(task.job.destination, root)
        except ImmutableTagError:
            # Said of the very same manifest too, as when it is there and only the answer to its push was lost.
            served = task.destination.resolve(task.job.destination)
            if served is None or served.digest != root.digest:
                raise

    def _bring_blobs(self, task: Task, image: Image, subject: str) -> Referrers:
        """Bring the blobs of *image*, meanwhile find out what refers to it, bring the blobs of that too; return it."""
        limit = task.job.blobs_at_once
        found = Referrers()

        def bring(blob: Descriptor) -> Iterable[_Step]:
            if self._blobs.is_on_its_way(task, blob):
                # In a queue of its own: whoever only waits takes no place from what could go on.
                return [_Step(f"wait for {blob.digest}", partial(wait, blob))]
            self._blobs.bring(task, blob)
            return ()

        def wait(blob: Descriptor) -> Iterable[_Step]:
            self._blobs.wait(task, blob)
            return [_Step("blobs", partial(bring, blob))]

        def find_referrers() -> Iterable[_Step]:
            nonlocal found
            parts = (part.digest for part in image.below)
            found = self._referrers.read(task.source, task.job.source.repository, subject, parts=parts, types=task.job.referrers, limit=limit)
            own = {blob.digest for blob in image.blobs}
            more = {blob.digest: blob for one in found.found for blob in one.image.blobs if blob.digest not in own}
            return [_Step("blobs", partial(bring, blob)) for blob in more.values()]

        workers: Workers[_Step, Iterable[_Step]] = Workers(lambda step: step.work(), limit=limit)
        steps = [_Step("blobs", partial(bring, blob)) for blob in image.blobs]
        if task.job.referrers is not False:
            steps.append(_Step("referrers", find_referrers))
        for step in steps:
            workers.submit(step, queue=step.queue)
        for more in workers.results():
            for step in more:
                workers.submit(step, queue=step.queue)
        return found

    def _push_parts(self, task: Task, image: Image) -> None:
        """Push what is below the root: side by side what names nothing that is still to come."""
        left = {part.digest: part for part in image.below}
        while left:
            ready = [part for part in left.values() if not any(child.digest in left for child in part.children)]
            for _ in map_unordered(lambda part: self._manifests.push_part(task, part), ready, limit=task.job.blobs_at_once):
                pass
            for part in ready:
                del left[part.digest]
