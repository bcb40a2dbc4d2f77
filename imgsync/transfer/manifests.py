"""Push manifests and referrers to a destination repository, each once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from imgsync.concurrency.single_flight import SingleFlight
from imgsync.errors import ImmutableTagError, NotFoundError, RegistryError, RejectedError
from imgsync.images.referrers import Referrer, Referrers
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.oci.spec.referrers import add_referrers, format_fallback_tag
from imgsync.transfer.known_blobs import KnownBlobs
from imgsync.transfer.model import Task
from imgsync.transfer.repair import Need

_FALLBACK_WRITES = 3
# A registry that still serves the tag as it was before our write may be late.
_REREAD_PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0)


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
        # Subjects whose referrers were pushed.
        self._attached: set[tuple[Repository, str]] = set()

    def forget(self, repository: Repository, digests: Collection[str]) -> None:
        """Forget that *digests*, and any referrers, were pushed to *repository*."""
        for digest in digests:
            self._pushed.pop((repository, digest), None)
        self._attached = {key for key in self._attached if key[0] != repository}

    def push_part(self, task: Task, manifest: Manifest) -> None:
        """
        Push *manifest* by digest unless the repository holds it.

        Everything it references must be there already.

        Raises:
            ImgsyncError: As `RegistryClient.push_manifest`.
        """
        task.repair.add_manifest(manifest.digest)
        place = self._known.at(task.repository.registry, manifest.digest)
        if place.is_seen_in(task.repository.path) or (task.repair.need(manifest.digest) is Need.COPY and place.is_in(task.repository.path)):
            task.repair.note_believed(manifest.digest)
            return
        self.push(task, manifest)
        task.progress.confirmed_digests.append(manifest.digest)

    def push_tag(self, task: Task, root: Manifest) -> None:
        """
        Push *root* by tag.

        Raises:
            ImgsyncError: As `RegistryClient.push_manifest`.
        """
        try:
            _put(task, task.job.destination, root)
        except ImmutableTagError:
            # Registries refuse the same manifest too, as when our push arrived and only its response was lost.
            served = task.destination.resolve(task.job.destination)
            if served is None or served.digest != root.digest:
                raise

    def push(self, task: Task, manifest: Manifest) -> bool:
        """Push *manifest* by digest once; return whether the registry indexes its subject."""
        key = (task.repository, manifest.digest)

        def push() -> None:
            task.deadline.check()
            self._pushed[key] = _put(task, task.repository.with_digest(manifest.digest), manifest)
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

        Raises:
            ImgsyncError: The destination refuses, or another client keeps overwriting the fallback tag.
        """
        indexes = dict(referrers.indexes)
        for subject in dict.fromkeys(referrer.subject for referrer in referrers.found):
            own = [referrer for referrer in referrers.found if referrer.subject == subject]
            self._attach_once(task, subject, own, indexes.get(subject))

    def _attach_once(self, task: Task, subject: str, referrers: Sequence[Referrer], index: Manifest | None) -> None:
        """Push referrers of one subject, once per repository and run."""
        key = (task.repository, subject)
        # Tags of one digest share its referrers; in parallel they would race for the fallback tag.
        while key not in self._attached:
            if self._attachments.run(key, lambda: self._attach_to(task, subject, referrers, index)):
                self._attached.add(key)

    def _attach_to(self, task: Task, subject: str, referrers: Sequence[Referrer], index: Manifest | None) -> None:
        """Push referrers of one subject; list those the registry does not index."""
        unlisted = []
        for referrer in referrers:
            for part in referrer.image.below:
                self.push_part(task, part)
            if referrer.tag:
                self._push_tagged(task, referrer)
            elif not self.push(task, referrer.root):
                unlisted.append(referrer.root)
        if unlisted:
            self._list_by_tag(task, subject, unlisted, index)

    def _list_by_tag(self, task: Task, subject: str, referrers: list[Manifest], index: Manifest | None) -> None:
        """
        Add *referrers* to the subject's fallback tag.

        Clients must do so where the registry has no referrers API. Reads the tag again after each write, because another
        client may have written it meanwhile. Spec: distribution-spec 1.1, "Pushing Manifests with Subject".
        """
        reference = task.repository.with_tag(format_fallback_tag(subject))
        current = self._read(task, reference)
        for _ in range(_FALLBACK_WRITES):
            desired = add_referrers(current, referrers, source=index)
            if desired is None:
                return
            _put(task, reference, desired)
            current = self._read_changed(task, reference, current)
        if add_referrers(current, referrers, source=index) is None:
            return
        operation = task.destination.make_operation("list referrers in", reference)
        raise operation.make_error(RejectedError, "another client keeps overwriting this tag", hint="run again when that client has ended")

    def _read_changed(self, task: Task, reference: Reference, before: Manifest | None) -> Manifest | None:
        """Read the tag until it differs from *before*, for some seconds."""
        current = self._read(task, reference)
        for pause_seconds in _REREAD_PAUSES_SECONDS:
            if current != before:
                break
            task.destination.retry_policy.pause(pause_seconds)
            current = self._read(task, reference)
        return current

    def _read(self, task: Task, reference: Reference) -> Manifest | None:
        task.deadline.check()
        try:
            return task.destination.pull_manifest(reference)
        except NotFoundError:
            return None

    def _push_tagged(self, task: Task, referrer: Referrer) -> None:
        """Push a cosign tag, unless the destination would lose signatures."""
        reference = task.repository.with_tag(referrer.tag)
        served = task.destination.resolve(reference)
        if served is not None:
            if served.digest == referrer.root.digest:
                return
            current = served.manifest or task.destination.pull_manifest(reference)
            if not {blob.digest for blob in current.blobs if blob != current.config} <= {blob.digest for blob in referrer.root.blobs}:
                task.listener.on_warning(f"{reference} holds layers that the source does not have; left unchanged")
                return
        task.deadline.check()
        _put(task, reference, referrer.root)


def _put(task: Task, reference: Reference, manifest: Manifest) -> bool:
    """Push *manifest*; note a refusal, which may concern its parts."""
    try:
        return task.destination.push_manifest(reference, manifest)
    except RegistryError as error:
        task.repair.note_refusal(error, manifest.digest)
        raise
