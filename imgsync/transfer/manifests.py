"""Push manifests and referrers to a destination repository, each once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from imgsync.concurrency.single_flight import SingleFlight
from imgsync.errors import ImmutableTagError
from imgsync.images.left_out import warn_of_other_tag
from imgsync.images.referrer_errors import try_all
from imgsync.images.referrer_gaps import TagContent, compare_tag
from imgsync.images.referrers import Referrer, Referrers
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.reference import Repository
from imgsync.transfer.fallback_index import FallbackIndexes
from imgsync.transfer.known_blobs import KnownBlobs
from imgsync.transfer.model import Task
from imgsync.transfer.put_manifest import put_manifest
from imgsync.transfer.repair import Need


class ManifestPusher:
    """
    Pushes manifests, each once per repository.

    One per run, because two writers would race for a fallback tag.
    """

    def __init__(self, known: KnownBlobs) -> None:
        """Skip manifests that *known* says are there."""
        self._known = known
        self._pushes: SingleFlight[tuple[Repository, str]] = SingleFlight()
        self._attachments: SingleFlight[tuple[Repository, str]] = SingleFlight()
        # Manifests pushed by digest, and whether the registry indexes their subject.
        self._pushed: dict[tuple[Repository, str], bool] = {}
        # The referrers that were pushed to each subject, by tag and digest: mirrors may want other types, or read other sources.
        self._attached: dict[tuple[Repository, str], set[tuple[str, str]]] = {}
        self._fallback = FallbackIndexes()

    def forget(self, repository: Repository, digests: Collection[str]) -> None:
        """Forget that *digests*, and any referrers, were pushed to *repository*."""
        for digest in digests:
            self._pushed.pop((repository, digest), None)
        self._attached = {key: attached for key, attached in self._attached.items() if key[0] != repository}

    def push_part(self, task: Task, manifest: Manifest) -> None:
        """
        Push *manifest* by digest unless the repository holds it.

        Everything it references must be there already.

        Raises:
            ImgsyncError: As `ImageStore.push_manifest`.
        """
        task.repair.add_manifest(manifest.digest)
        place = self._known.at(task.repository.registry, manifest.digest)
        if place.is_seen_in(task.repository.path) or (task.repair.need(manifest.digest) is Need.COPY and place.is_in(task.repository.path)):
            task.repair.note_believed(manifest.digest)
            return
        self.push(task, manifest)
        task.progress.confirmed_sizes[manifest.digest] = manifest.size_bytes

    def push_tag(self, task: Task, root: Manifest) -> None:
        """
        Push *root* by tag.

        Raises:
            ImgsyncError: As `ImageStore.push_manifest`.
        """
        try:
            put_manifest(task, task.job.destination, root)
        except ImmutableTagError:
            # Registries refuse the same manifest too, as when our push arrived and only its response was lost.
            served = task.destination.resolve(task.job.destination)
            if served is None or not root.matches(served.digest):
                raise

    def push(self, task: Task, manifest: Manifest) -> bool:
        """Push *manifest* by digest once; return whether the registry indexes its subject."""
        key = (task.repository, manifest.digest)

        def push() -> None:
            task.deadline.check()
            self._pushed[key] = put_manifest(task, task.repository.with_digest(manifest.digest), manifest)
            self._known.mark_present(task.repository, manifest.digest)

        task.repair.add_manifest(manifest.digest)
        if key in self._pushed:
            task.repair.note_believed(manifest.digest)
        while key not in self._pushed:
            self._pushes.run(key, push)
        return self._pushed[key]

    def attach(self, task: Task, referrers: Referrers) -> None:
        """
        Push all *referrers* so that the destination finds them by subject.

        Those of one subject do not depend on those of another: all are tried, and then the first error is raised.

        Raises:
            ImgsyncError: The destination refuses, or another client keeps overwriting the fallback tag.
        """
        indexes = dict(referrers.indexes)
        tries = []
        for subject in dict.fromkeys(referrer.subject for referrer in referrers.found):
            own = [referrer for referrer in referrers.found if referrer.subject == subject]
            tries.append(partial(self._attach_once, task, subject, own, indexes.get(subject)))
        try_all(tries)

    def _attach_once(self, task: Task, subject: str, referrers: Sequence[Referrer], index: Manifest | None) -> None:
        """Push referrers of one subject, once per repository and run."""
        key = (task.repository, subject)
        own = {(referrer.tag, referrer.root.digest) for referrer in referrers}
        # Tags of one digest share its referrers; in parallel they would race for the fallback tag.
        while not own <= self._attached.get(key, set()):
            if self._attachments.run(key, lambda: self._attach_to(task, subject, referrers, index)):
                self._attached.setdefault(key, set()).update(own)

    def _attach_to(self, task: Task, subject: str, referrers: Sequence[Referrer], index: Manifest | None) -> None:
        """Push referrers of one subject; list those the registry does not index."""
        unlisted: list[Manifest] = []

        def push(referrer: Referrer) -> None:
            for part in referrer.image.below:
                self.push_part(task, part)
            if referrer.tag:
                self._push_tagged(task, referrer)
            elif not self.push(task, referrer.root):
                unlisted.append(referrer.root)

        def list_by_tag() -> None:
            if unlisted:
                self._fallback.add(task, subject, unlisted, index)

        try_all([*(partial(push, referrer) for referrer in referrers), list_by_tag])

    def _push_tagged(self, task: Task, referrer: Referrer) -> None:
        """Push a cosign tag, unless the destination would lose signatures."""
        reference = task.repository.with_tag(referrer.tag)
        served = task.destination.resolve(reference)
        pushed_digest = task.job.pushed_tags.get(referrer.tag, "")
        content = None if served is None else compare_tag(task.destination, reference, served, referrer.root, pushed_digest=pushed_digest)
        if content is TagContent.COMPLETE:
            return
        if content is TagContent.OTHER:
            task.listener.on_warning(warn_of_other_tag(reference))
            return
        task.deadline.check()
        put_manifest(task, reference, referrer.root)
