"""
The copy engine: one image at a time, bottom up; one blob once per destination registry and run.

Never asks whether to copy: the plan did. Spec: design.md §7.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from imgsync.concurrency import Deadline, SingleFlight, map_unordered, paced
from imgsync.content import Image, ManifestCache, pull_manifest, read_image, selected_root
from imgsync.errors import AccessDeniedError, AuthenticationError, ImgsyncError, NotFoundError, RegistryError, RejectedError, TooLargeError, UnreachableError
from imgsync.oci.aws import is_ecr
from imgsync.oci.digest import verified
from imgsync.oci.download import download
from imgsync.oci.manifest import Descriptor, Manifest, Platform
from imgsync.oci.reference import Reference, Repository
from imgsync.oci.referrers import fallback_tag, with_referrers
from imgsync.oci.registry import RegistryClient
from imgsync.oci.retry import retry_call
from imgsync.oci.upload import UploadSession, begin_upload
from imgsync.referrers import Referrer, ReferrerReader, Referrers

_MISSING = {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"}
_LOST_SESSION = {"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"}
_FALLBACK_WRITES = 3


@dataclass(frozen=True, slots=True)
class Job:
    """
    One image to copy: from where by digest, to which tag, with which platforms, which referrers, and how many blobs at once.

    `served` is the digest the destination's tag names already: pushed again it is not, only what refers to it.
    """

    source: Reference
    destination: Reference
    platforms: tuple[Platform, ...] | None
    blobs_at_once: int
    referrers: Sequence[str] | bool = False
    served: str | None = None


@dataclass(slots=True)
class Progress:
    """What one copy moved so far; the copy writes it, anybody may read it."""

    bytes_copied: int = 0
    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_present: int = 0
    attempts: int = 1
    seen: list[str] = field(default_factory=list)


class Observer(Protocol):
    """Whoever wants to know how one copy goes on."""

    def advanced(self, size_bytes: int) -> None:
        """Bytes moved; negative when a try began anew."""

    def delivered(self, how: str, blob: Descriptor, *, mounted_from: str = "") -> None:
        """A blob is in the destination repository: "copied", "mounted" from the repository at path *mounted_from*, or "present" before."""

    def warned(self, reason: str) -> None:
        """Something was left as it is, and somebody should know."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What the destination serves now: the root manifest as pushed, and the compressed size of the image."""

    root: Manifest
    size_bytes: int


class BlobMemory:
    """Where blobs were seen: what the state remembers, and what this run found. One per run, shared by all copies."""

    def __init__(self, remembered: Callable[[str, str], tuple[str, ...]]) -> None:
        """Ask *remembered* (registry, digest) for what earlier runs saw."""
        self._remembered = remembered
        self._seen: dict[tuple[str, str], dict[str, None]] = {}
        self._wrong: set[tuple[str, str, str]] = set()

    def repositories(self, registry: str, digest: str) -> list[str]:
        """Return repository paths of *registry* that should hold the blob, this run's findings first."""
        seen = list(self._seen.get((registry, digest), ()))
        return seen + [path for path in self._remembered(registry, digest) if path not in seen and (registry, digest, path) not in self._wrong]

    def saw(self, repository: Repository, digest: str) -> None:
        """Remember that *repository* holds the blob."""
        self._seen.setdefault((repository.registry, digest), {})[repository.path] = None

    def forget(self, repository: Repository, digest: str) -> None:
        """Remember that *repository* does not hold the blob, whatever was believed."""
        self._seen.get((repository.registry, digest), {}).pop(repository.path, None)
        self._wrong.add((repository.registry, digest, repository.path))


@dataclass(frozen=True, slots=True)
class _Task:
    """One copy's surroundings, handed down its steps."""

    job: Job
    image: Image
    referrers: Referrers
    source: RegistryClient
    destination: RegistryClient
    deadline: Deadline
    progress: Progress
    observer: Observer

    @property
    def repository(self) -> Repository:
        return self.job.destination.repository

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Return every blob to deliver, each once."""
        return tuple({blob.digest: blob for image in self._images for blob in image.blobs}.values())

    @property
    def _images(self) -> list[Image]:
        return [self.image, *(one.image for one in self.referrers.found)]


class Copier:
    """Copies images. Shared by every image of a run, so that a blob needed by many moves once."""

    def __init__(
        self, memory: BlobMemory, manifests: ManifestCache, referrers: ReferrerReader, *, make_repository: Callable[[RegistryClient, str], bool]
    ) -> None:
        """
        Mount where *memory* knows a blob; take from *manifests* and *referrers* what the plan read.

        *make_repository* is asked once for a repository that a registry does not know, and returns whether it made it.
        """
        self._make_repository = make_repository
        self._made: dict[Repository, bool] = {}
        self._memory = memory
        self._manifests = manifests
        self._referrers = referrers
        self._attached: set[tuple[Repository, str]] = set()
        self._flights: SingleFlight[tuple[str, str]] = SingleFlight()
        # What was pushed by digest, and whether the registry knows by itself what it refers to.
        self._pushed: dict[tuple[Repository, str], bool] = {}

    def copy_image(
        self, job: Job, *, source: RegistryClient, destination: RegistryClient, deadline: Deadline, progress: Progress, observer: Observer
    ) -> Copied:
        """
        Copy one image and return what the destination serves now; its tag is pushed last, when all is there.

        Raises:
            ImgsyncError: Whatever went wrong; the tag is then as it was.
        """
        deadline.check()
        pulled = pull_manifest(source, job.source, self._manifests)
        root = selected_root(pulled, job.platforms)
        image = read_image(source, job.source.repository, root, cache=self._manifests, limit=job.blobs_at_once)
        found = self._referrers.read(
            source,
            job.source.repository,
            # A new index has another digest: what was said of the old one is not true of it.
            root.digest if root.digest == pulled.digest else "",
            parts=(part.digest for part in image.below),
            types=job.referrers,
            limit=job.blobs_at_once,
        )
        task = _Task(job, image, found, source, destination, deadline, progress, observer)
        self._push(task)
        return Copied(root, image.size_bytes)

    def _push(self, task: _Task) -> None:
        try:
            self._push_once(task)
        except RegistryError as error:
            if error.code not in _MISSING:
                raise
            # What we believed to be there is gone, collected between then and now: forget it, and send it once.
            for blob in task.blobs:
                self._memory.forget(task.repository, blob.digest)
            self._pushed = {key: indexed for key, indexed in self._pushed.items() if key[0] != task.repository}
            self._attached = {(repository, subject) for repository, subject in self._attached if repository != task.repository}
            task.progress.attempts += 1
            self._push_once(task)

    def _push_once(self, task: _Task) -> None:
        for _ in map_unordered(lambda blob: self._copy_blob(task, blob), task.blobs, limit=task.job.blobs_at_once):
            pass
        self._push_manifests(task, task.image.below)
        if task.referrers:
            # Before the tag, so that whoever pulls by it finds the signatures; after the manifest that they refer to.
            if task.job.served != task.image.root.digest:
                self._push_manifests(task, (task.image.root,))
            self._attach(task)
        if task.job.served != task.image.root.digest:
            task.deadline.check()
            task.destination.push_manifest(task.job.destination, task.image.root)

    def _push_manifests(self, task: _Task, manifests: Sequence[Manifest]) -> bool:
        """Push *manifests* by digest, each once per repository and run; return whether the registry knows subjects by itself."""
        for manifest in manifests:
            if (task.repository, manifest.digest) not in self._pushed:
                task.deadline.check()
                self._pushed[task.repository, manifest.digest] = task.destination.push_manifest(task.repository.at(manifest.digest), manifest)
        return all(self._pushed[task.repository, manifest.digest] for manifest in manifests)

    def _attach(self, task: _Task) -> None:
        """Push all referrers, subject by subject, and see to it that the destination finds them by their subject."""
        indexes = dict(task.referrers.indexes)
        for subject in dict.fromkeys(one.subject for one in task.referrers.found):
            own = [one for one in task.referrers.found if one.subject == subject]
            key = (task.repository, subject)
            # Tags that name one digest share its referrers; two of them side by side would race for the fallback tag.
            while key not in self._attached:
                if self._flights.run((str(task.repository), subject), lambda: self._attach_to(task, subject, own, indexes.get(subject))):  # noqa: B023 - run at once
                    self._attached.add(key)

    def _attach_to(self, task: _Task, subject: str, referrers: list[Referrer], index: Manifest | None) -> None:
        unlisted = []
        for one in referrers:
            self._push_manifests(task, one.image.below)
            if one.tag:
                self._push_tagged(task, one)
            elif not self._push_manifests(task, (one.root,)):
                unlisted.append(one.root)
        if unlisted:
            self._list_by_tag(task, subject, unlisted, index)

    def _list_by_tag(self, task: _Task, subject: str, referrers: list[Manifest], index: Manifest | None) -> None:
        """
        Name *referrers* in the subject's fallback tag, as clients must where the registry has no referrers API.

        Read again after each write: another client may have written meanwhile. Spec: "Pushing Manifests with Subject".
        """
        reference = task.repository.tagged(fallback_tag(subject))
        for _ in range(_FALLBACK_WRITES + 1):
            task.deadline.check()
            try:
                current = task.destination.pull_manifest(reference)
            except NotFoundError:
                current = None
            wanted = with_referrers(current, referrers, source=index)
            if wanted is None:
                return
            task.destination.push_manifest(reference, wanted)
        operation = task.destination.operation("list referrers in", reference)
        raise operation.failed(RejectedError, "another client writes this tag over and over", hint="run again when it has ended")

    def _push_tagged(self, task: _Task, referrer: Referrer) -> None:
        """Push what stands under a tag of cosign's, unless the destination's own holds something that would be lost."""
        reference = task.repository.tagged(referrer.tag)
        found = task.destination.resolve(reference)
        if found is not None and found.digest != referrer.root.digest:
            current = found.manifest or task.destination.pull_manifest(reference)
            if not {blob.digest for blob in current.blobs if blob != current.config} <= {blob.digest for blob in referrer.root.blobs}:
                task.observer.warned(f"{reference} holds what the source's does not; it was left as it is")
                return
        if found is None or found.digest != referrer.root.digest:
            task.deadline.check()
            task.destination.push_manifest(reference, referrer.root)

    def _copy_blob(self, task: _Task, blob: Descriptor) -> None:
        """See to it that the destination repository holds the blob, moving it only if its registry lacks it."""
        registry = task.repository.registry
        while True:
            if task.repository.path in self._memory.repositories(registry, blob.digest):
                task.progress.blobs_present += 1
                task.observer.delivered("present", blob)
                return
            # One flight per registry and digest: who comes meanwhile waits, then mounts from where it went.
            if self._flights.run((registry, blob.digest), lambda: self._deliver(task, blob)):
                return
            task.deadline.check()

    def _deliver(self, task: _Task, blob: Descriptor) -> None:
        tries = itertools.count(1)

        def attempt() -> bool:
            task.progress.attempts = max(task.progress.attempts, next(tries))
            while True:
                try:
                    return self._attempt(task, blob)
                except TooLargeError:
                    # At once and as often as sizes are left to try: nothing here gets better by waiting.
                    task.deadline.check()

        if retry_call(attempt, task.destination.patience, operation="copy blob", reference=str(task.repository.at(blob.digest))):
            self._memory.saw(task.repository, blob.digest)
            task.progress.seen.append(blob.digest)

    def _attempt(self, task: _Task, blob: Descriptor) -> bool:
        """Mount or send the blob once; return whether the repository holds it, False for a foreign layer nobody has."""
        elsewhere = next(iter(self._memory.repositories(task.repository.registry, blob.digest)), task.repository.path)
        if blob.foreign and not task.source.has_blob(task.job.source.repository, blob.digest):
            return False
        # Without another place to mount from, the repository itself: it answers 201 if an interrupted run left the blob there.
        session = self._begin(task, blob, elsewhere)
        if session is None:
            if elsewhere == task.repository.path:
                task.progress.blobs_present += 1
                task.observer.delivered("present", blob)
            else:
                task.progress.blobs_mounted += 1
                task.observer.delivered("mounted", blob, mounted_from=elsewhere)
            return True
        self._upload(task, blob, session)
        task.progress.blobs_copied += 1
        task.observer.delivered("copied", blob)
        return True

    def _begin(self, task: _Task, blob: Descriptor, elsewhere: str) -> UploadSession | None:
        """Return a session for the blob, None once it is mounted; a repository that is not there is made where that is allowed."""
        try:
            return begin_upload(task.destination, task.repository, blob, mount_from=elsewhere)
        except (NotFoundError, AccessDeniedError, AuthenticationError) as error:
            while task.repository not in self._made:
                self._flights.run((str(task.repository), "make"), lambda: self._make(task))
            if not self._made[task.repository]:
                if isinstance(error, NotFoundError):
                    error.hint = _how_to_make(task.repository)
                raise
        return begin_upload(task.destination, task.repository, blob, mount_from=elsewhere)

    def _make(self, task: _Task) -> None:
        self._made[task.repository] = self._make_repository(task.destination, task.repository.path)

    def _upload(self, task: _Task, blob: Descriptor, session: UploadSession) -> None:
        moved = 0

        def count(size: int) -> None:
            nonlocal moved
            moved += size
            task.progress.bytes_copied += size
            task.observer.advanced(size)

        what = f"pull blob {task.job.source.repository.at(blob.digest)}"
        try:
            # Closed here and now: left to the collector, a broken download would keep its lane to the source.
            with contextlib.closing(download(task.source, task.job.source.repository, blob)) as chunks:
                counted = paced(chunks, deadline=task.deadline, on_bytes=count)
                session.put(verified(counted, digest=blob.digest, size_bytes=blob.size_bytes, what=what))
        except ImgsyncError as error:
            task.progress.bytes_copied -= moved
            task.observer.advanced(-moved)
            session.cancel()
            if isinstance(error, RegistryError) and error.code in _LOST_SESSION:
                # The registry forgot the session, as after a restart: a new one may do.
                raise UnreachableError(
                    error.operation, error.reference, origin=error.origin, detail=error.detail, status=error.status, code=error.code
                ) from error
            raise


def _how_to_make(repository: Repository) -> str:
    """Return what to do about a repository that a registry wants made first."""
    ask = f"aws ecr create-repository --repository-name {repository.path}" if is_ecr(repository.registry) else "in Harbor, its project"
    return f"make it there first ({ask}), or set `create_repositories: true` for {repository.registry} in registries.yaml"
