"""
The copy engine: one image at a time, bottom up; one blob once per destination registry and run.

Never asks whether to copy: the plan did. Spec: design.md §7.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from imgsync.concurrency import Deadline, SingleFlight, map_unordered, paced
from imgsync.content import Image, ManifestCache, pull_manifest, read_image, selected_root
from imgsync.errors import ImgsyncError, RegistryError, UnreachableError
from imgsync.oci.digest import verified
from imgsync.oci.download import download
from imgsync.oci.manifest import Descriptor, Manifest, Platform
from imgsync.oci.reference import Reference, Repository
from imgsync.oci.registry import RegistryClient
from imgsync.oci.retry import retry_call
from imgsync.oci.upload import UploadSession, begin_upload

_MISSING = {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"}
_LOST_SESSION = {"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"}


@dataclass(frozen=True, slots=True)
class Job:
    """One image to copy: from where by digest, to which tag, with which platforms and how many blobs at once."""

    source: Reference
    destination: Reference
    platforms: tuple[Platform, ...] | None
    blobs_at_once: int


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
    source: RegistryClient
    destination: RegistryClient
    deadline: Deadline
    progress: Progress
    observer: Observer

    @property
    def repository(self) -> Repository:
        return self.job.destination.repository


class Copier:
    """Copies images. Shared by every image of a run, so that a blob needed by many moves once."""

    def __init__(self, memory: BlobMemory, manifests: ManifestCache) -> None:
        """Mount where *memory* knows a blob; take manifests the plan read from *manifests*."""
        self._memory = memory
        self._manifests = manifests
        self._flights: SingleFlight[tuple[str, str]] = SingleFlight()
        self._pushed: set[tuple[Repository, str]] = set()

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
        task = _Task(job, image, source, destination, deadline, progress, observer)
        self._push(task)
        return Copied(root, image.size_bytes)

    def _push(self, task: _Task) -> None:
        try:
            self._push_once(task)
        except RegistryError as error:
            if error.code not in _MISSING:
                raise
            # What we believed to be there is gone, collected between then and now: forget it, and send it once.
            for blob in task.image.blobs:
                self._memory.forget(task.repository, blob.digest)
            self._pushed -= {(task.repository, manifest.digest) for manifest in task.image.below}
            task.progress.attempts += 1
            self._push_once(task)

    def _push_once(self, task: _Task) -> None:
        for _ in map_unordered(lambda blob: self._copy_blob(task, blob), task.image.blobs, limit=task.job.blobs_at_once):
            pass
        for manifest in task.image.below:
            if (task.repository, manifest.digest) not in self._pushed:
                task.deadline.check()
                task.destination.push_manifest(task.repository.at(manifest.digest), manifest)
                self._pushed.add((task.repository, manifest.digest))
        task.deadline.check()
        task.destination.push_manifest(task.job.destination, task.image.root)

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
            return self._attempt(task, blob)

        if retry_call(attempt, task.destination.patience, operation="copy blob", reference=str(task.repository.at(blob.digest))):
            self._memory.saw(task.repository, blob.digest)
            task.progress.seen.append(blob.digest)

    def _attempt(self, task: _Task, blob: Descriptor) -> bool:
        """Mount or send the blob once; return whether the repository holds it, False for a foreign layer nobody has."""
        elsewhere = next(iter(self._memory.repositories(task.repository.registry, blob.digest)), task.repository.path)
        if blob.foreign and not task.source.has_blob(task.job.source.repository, blob.digest):
            return False
        # Without another place to mount from, the repository itself: it answers 201 if an interrupted run left the blob there.
        session = begin_upload(task.destination, task.repository, blob, mount_from=elsewhere)
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
