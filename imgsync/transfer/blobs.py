"""
One blob to one destination repository: known to be there, mounted, or sent; once per registry however many images need it.

Spec: design.md §7.3 to §7.6.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence

from imgsync.concurrency.deadline import stream_chunks
from imgsync.concurrency.single_flight import SingleFlight
from imgsync.errors import AccessDeniedError, AuthenticationError, ImgsyncError, NotFoundError, QuotaSpentError, RegistryError, TooLargeError, UnreachableError
from imgsync.oci.auth.aws import is_ecr
from imgsync.oci.limits.retry import retry_call
from imgsync.oci.registry import NO_SUCH_RANGE, RegistryClient
from imgsync.oci.spec.manifest import Descriptor
from imgsync.oci.spec.reference import Repository
from imgsync.oci.upload import UploadSession, begin_upload
from imgsync.transfer.fan_out import Feeds
from imgsync.transfer.known_blobs import BlobMemory
from imgsync.transfer.model import Task

_LOST_SESSION = {"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"}


class BlobCarrier:
    """Brings blobs to destinations. One per run, so that a blob needed by many moves once."""

    def __init__(self, memory: BlobMemory, *, make_repository: Callable[[RegistryClient, str], bool]) -> None:
        """
        Mount where *memory* knows a blob.

        *make_repository* is asked once for a repository that a registry does not know, and returns whether it made it.
        """
        self._memory = memory
        self._make_repository = make_repository
        self._made: dict[Repository, bool] = {}
        self._flights: SingleFlight[tuple[str, str]] = SingleFlight()
        self._feeds = Feeds()
        # Projects, by registry and the first word of their repositories' paths, that have no room left.
        self._full: dict[tuple[str, str], QuotaSpentError] = {}

    def bring(self, task: Task, blob: Descriptor) -> None:
        """
        See to it that the destination repository holds the blob, moving it only if its registry lacks it.

        Raises:
            ImgsyncError: It cannot be had, or not be put there.
        """
        registry = task.repository.registry
        try:
            while not self._memory.holds(task.repository, blob.digest):
                # One flight per registry and digest: who comes meanwhile waits, then mounts from where it went, side by side with the others.
                where = str(task.repository) if self._memory.found(registry, blob.digest) else registry
                if self._flights.run((where, blob.digest), lambda: self._deliver(task, blob)):
                    return
                task.deadline.check()
            task.progress.blobs_present += 1
            task.observer.delivered("present", blob)
        finally:
            self._feeds.leave(registry, blob.digest)

    def is_on_its_way(self, task: Task, blob: Descriptor) -> bool:
        """Return whether another copy is just bringing the blob to the same registry, so that there is nothing to do but to `wait`."""
        return self._flights.is_running((task.repository.registry, blob.digest)) and not self._memory.found(task.repository.registry, blob.digest)

    def wait(self, task: Task, blob: Descriptor) -> None:
        """Wait until the blob is no longer on its way, be it there or not."""
        self._flights.wait((task.repository.registry, blob.digest))
        task.deadline.check()

    def _deliver(self, task: Task, blob: Descriptor) -> None:
        tries = itertools.count(1)

        def attempt() -> bool:
            task.progress.attempts = max(task.progress.attempts, next(tries))
            while True:
                try:
                    return self._attempt(task, blob)
                except TooLargeError:
                    # At once and as often as sizes are left to try: nothing here gets better by waiting.
                    task.deadline.check()

        if retry_call(attempt, task.destination.retry_policy, operation="copy blob", reference=str(task.repository.with_digest(blob.digest))):
            self._memory.saw(task.repository, blob.digest)
            task.progress.seen.append(blob.digest)

    def _attempt(self, task: Task, blob: Descriptor) -> bool:
        """Mount or send the blob once; return whether the repository holds it, False for a foreign layer nobody has."""
        elsewhere = next(iter(self._memory.repositories(task.repository.registry, blob.digest)), task.repository.path)
        if blob.is_external and not task.source.has_blob(task.job.source.repository, blob):
            return False
        # Who has the blob already will mount it.
        others = [other for other in task.job.registries if not self._memory.repositories(other, blob.digest)]
        if elsewhere == task.repository.path:
            self._feeds.ahead(task, blob, others)
        # Without another place to mount from, the repository itself: it answers 201 if an interrupted run left the blob there.
        session = self._begin(task, blob, elsewhere if task.mounts else "")
        if session is None:
            if elsewhere == task.repository.path:
                task.progress.blobs_present += 1
                task.observer.delivered("present", blob)
            else:
                task.progress.blobs_mounted += 1
                task.observer.delivered("mounted", blob, mounted_from=elsewhere)
            return True
        self._upload(task, blob, session, others)
        task.progress.blobs_copied += 1
        task.observer.delivered("copied", blob)
        return True

    def _begin(self, task: Task, blob: Descriptor, elsewhere: str) -> UploadSession | None:
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

    def _make(self, task: Task) -> None:
        self._made[task.repository] = self._make_repository(task.destination, task.repository.path)

    def _upload(self, task: Task, blob: Descriptor, session: UploadSession, others: Sequence[str]) -> None:
        project = (task.repository.registry, task.repository.path.partition("/")[0])
        if (full := self._full.get(project)) is not None:
            # Registries find out only when they have all of a blob.
            session.cancel()
            refused = task.destination.operation("push blob", task.repository.with_digest(blob.digest))
            raise refused.failed(QuotaSpentError, full.detail, status=full.status, code=full.code, hint=full.hint)
        moved = 0

        def count(size: int) -> None:
            nonlocal moved
            moved += size
            task.progress.bytes_copied += size
            task.observer.advanced(size)

        try:
            with contextlib.closing(self._feeds.chunks(task, blob, others)) as chunks:
                session.put(stream_chunks(chunks, deadline=task.deadline, on_bytes=count))
        except ImgsyncError as error:
            task.progress.bytes_copied -= moved
            task.observer.advanced(-moved)
            session.cancel()
            if isinstance(error, QuotaSpentError):
                self._full[project] = error
            if isinstance(error, RegistryError) and (error.code in _LOST_SESSION or error.status == NO_SUCH_RANGE):
                # The registry forgot the session, as after a restart, or a part of what was sent: a new one may do.
                raise UnreachableError(
                    error.operation, error.reference, origin=error.origin, detail=error.detail, status=error.status, code=error.code
                ) from error
            raise


def _how_to_make(repository: Repository) -> str:
    """Return what to do about a repository that a registry wants made first."""
    ask = f"aws ecr create-repository --repository-name {repository.path}" if is_ecr(repository.registry) else "in Harbor, its project"
    return f"make it there first ({ask}), or set `create_repositories: true` for {repository.registry} in registries.yaml"
