"""Manifests into a destination repository: each once, and what refers to an image so that the destination finds it by its subject."""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.concurrency.single_flight import SingleFlight
from imgsync.errors import NotFoundError, RejectedError
from imgsync.images.referrers import Referrer, Referrers
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.oci.spec.referrers import add_referrers, format_fallback_tag
from imgsync.transfer.known_blobs import BlobMemory
from imgsync.transfer.model import Task

_FALLBACK_WRITES = 3
_LATE_SECONDS = (0.5, 1.0, 2.0, 4.0)


class ManifestPusher:
    """Pushes manifests. One per run, so that each goes to a repository once, and nobody writes a fallback tag beside us."""

    def __init__(self, memory: BlobMemory) -> None:
        """Leave out what *memory* knows to be there."""
        self._memory = memory
        self._flights: SingleFlight[tuple[Repository, str]] = SingleFlight()
        # What was pushed by digest, and whether the registry knows by itself what it refers to.
        self._pushed: dict[tuple[Repository, str], bool] = {}
        self._attached: set[tuple[Repository, str]] = set()

    def forget(self, repository: Repository) -> None:
        """Believe nothing any more of what was pushed to *repository*."""
        self._pushed = {key: indexed for key, indexed in self._pushed.items() if key[0] != repository}
        self._attached = {key for key in self._attached if key[0] != repository}

    def push_part(self, task: Task, manifest: Manifest) -> None:
        """
        See to it that the repository holds *manifest*, by digest; everything it names must be there.

        Raises:
            ImgsyncError: As `RegistryClient.push_manifest`.
        """
        if not self._memory.holds(task.repository, manifest.digest):
            self.push(task, manifest)
            task.progress.seen.append(manifest.digest)

    def push(self, task: Task, manifest: Manifest) -> bool:
        """Push *manifest* by digest, once per repository and run; return whether the registry knows its subject by itself."""
        key = (task.repository, manifest.digest)

        def push() -> None:
            task.deadline.check()
            self._pushed[key] = task.destination.push_manifest(task.repository.with_digest(manifest.digest), manifest)
            self._memory.saw(task.repository, manifest.digest)

        while key not in self._pushed:
            self._flights.run(key, push)
        return self._pushed[key]

    def attach(self, task: Task, referrers: Referrers) -> None:
        """
        Push all *referrers*, subject by subject, and see to it that the destination finds them by their subject.

        Raises:
            ImgsyncError: The destination refuses, or another client writes the same fallback tag over and over.
        """
        indexes = dict(referrers.indexes)
        for subject in dict.fromkeys(one.subject for one in referrers.found):
            own = [one for one in referrers.found if one.subject == subject]
            key = (task.repository, f"referrers of {subject}")
            # Tags that name one digest share its referrers; two of them side by side would race for the fallback tag.
            while key not in self._attached:
                if self._flights.run(key, lambda: self._attach_to(task, subject, own, indexes.get(subject))):  # noqa: B023 - run at once
                    self._attached.add(key)

    def _attach_to(self, task: Task, subject: str, referrers: Sequence[Referrer], index: Manifest | None) -> None:
        unlisted = []
        for one in referrers:
            for part in one.image.below:
                self.push_part(task, part)
            if one.tag:
                self._push_tagged(task, one)
            elif not self.push(task, one.root):
                unlisted.append(one.root)
        if unlisted:
            self._list_by_tag(task, subject, unlisted, index)

    def _list_by_tag(self, task: Task, subject: str, referrers: list[Manifest], index: Manifest | None) -> None:
        """
        Name *referrers* in the subject's fallback tag, as clients must where the registry has no referrers API.

        Read again after each write: another client may have written meanwhile; a registry that shows what it showed before may be late,
        and is waited for, some seconds long. Spec: "Pushing Manifests with Subject".
        """
        reference = task.repository.with_tag(format_fallback_tag(subject))
        current = self._read(task, reference)
        for _ in range(_FALLBACK_WRITES):
            wanted = add_referrers(current, referrers, source=index)
            if wanted is None:
                return
            task.destination.push_manifest(reference, wanted)
            before, current = current, self._read(task, reference)
            for pause_seconds in _LATE_SECONDS:
                if current != before:
                    break
                task.destination.retry_policy.pause(pause_seconds)
                current = self._read(task, reference)
        if add_referrers(current, referrers, source=index) is None:
            return
        operation = task.destination.operation("list referrers in", reference)
        raise operation.failed(RejectedError, "another client writes this tag over and over", hint="run again when it has ended")

    def _read(self, task: Task, reference: Reference) -> Manifest | None:
        task.deadline.check()
        try:
            return task.destination.pull_manifest(reference)
        except NotFoundError:
            return None

    def _push_tagged(self, task: Task, referrer: Referrer) -> None:
        """Push what stands under a tag of cosign's, unless the destination's own holds something that would be lost."""
        reference = task.repository.with_tag(referrer.tag)
        found = task.destination.resolve(reference)
        if found is not None and found.digest != referrer.root.digest:
            current = found.manifest or task.destination.pull_manifest(reference)
            if not {blob.digest for blob in current.blobs if blob != current.config} <= {blob.digest for blob in referrer.root.blobs}:
                task.observer.warned(f"{reference} holds what the source's does not; it was left as it is")
                return
        if found is None or found.digest != referrer.root.digest:
            task.deadline.check()
            task.destination.push_manifest(reference, referrer.root)
