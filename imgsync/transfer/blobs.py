"""
Copy one blob to one destination repository: known there, mounted, or sent.

Each blob is sent once per destination registry, however many images need it. Spec: docs/explanation/a-copy-on-the-wire.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from imgsync.errors import AccessDeniedError, AuthenticationError, NotFoundError, TooLargeError
from imgsync.oci.limits.retry import retry_call
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.upload import UploadSession, begin_upload
from imgsync.transfer.create_repository import RepositoryCreator
from imgsync.transfer.fan_out import FanOut
from imgsync.transfer.known_blobs import BlobAtRegistry, BlobState, KnownBlobs
from imgsync.transfer.model import Task
from imgsync.transfer.send_blob import BlobSender


class BlobCopier:
    """Copies blobs; one per run, so that shared blobs move once."""

    def __init__(self, known: KnownBlobs, *, create_repository: Callable[[RegistryClient, str], bool]) -> None:
        """Mount from where *known* says; create missing repositories with *create_repository*."""
        self._known = known
        self._repositories = RepositoryCreator(create_repository)
        self._fan_out = FanOut()
        self._sender = BlobSender(self._fan_out)

    def copy_blob(self, task: Task, blob: Descriptor) -> None:
        """
        Make the destination repository hold the blob.

        Raises:
            ImgsyncError: It cannot be read, or not be pushed.
        """
        place = self._place(task, blob)
        try:
            while not place.is_in(task.repository.path):
                if place.deliver_once(task.repository.path, lambda: self._deliver(task, blob, place)):
                    return
                task.deadline.check()
            _report_present(task, blob)
        finally:
            self._fan_out.leave(task.repository.registry, blob.digest)

    def is_arriving(self, task: Task, blob: Descriptor) -> bool:
        """Return whether another copy delivers the blob to the registry now."""
        return self._place(task, blob).state is BlobState.ARRIVING

    def wait(self, task: Task, blob: Descriptor) -> None:
        """Wait until the other copy's delivery ended, successful or not."""
        self._place(task, blob).wait()
        task.deadline.check()

    def _place(self, task: Task, blob: Descriptor) -> BlobAtRegistry:
        return self._known.at(task.repository.registry, blob.digest)

    def _deliver(self, task: Task, blob: Descriptor, place: BlobAtRegistry) -> None:
        """Mount or send the blob, with the destination's retries."""
        attempts = itertools.count(1)

        def attempt() -> bool:
            task.progress.attempts = max(task.progress.attempts, next(attempts))
            while True:
                try:
                    return self._mount_or_send(task, blob, place)
                except TooLargeError:
                    # The session now knows a smaller limit; try it at once, as long as there are smaller ones.
                    task.deadline.check()

        if retry_call(attempt, task.destination.retry_policy, operation="copy blob", reference=str(task.repository.with_digest(blob.digest))):
            place.mark_present(task.repository.path)
            task.progress.confirmed_digests.append(blob.digest)

    def _mount_or_send(self, task: Task, blob: Descriptor, place: BlobAtRegistry) -> bool:
        """Mount or send the blob; return False if the source lacks it."""
        # The source serves external layers only if someone pushed them there.
        if blob.is_external and not task.source.has_blob(task.job.source.repository, blob):
            return False
        # Without another place to mount from, name the repository itself: it answers 201 if an interrupted run left the blob there.
        mount_from = next(iter(place.repositories), task.repository.path)
        is_elsewhere = mount_from != task.repository.path
        # Registries that have the blob in some repository mount it.
        readers = [registry for registry in task.job.registries if not self._known.at(registry, blob.digest).repositories]
        if not is_elsewhere:
            self._fan_out.prefetch(task, blob, readers)
        session = self._begin_upload(task, blob, mount_from if task.may_mount else "")
        if session is not None:
            self._sender.send(task, blob, session, readers)
            _report_copied(task, blob)
        elif is_elsewhere:
            _report_mounted(task, blob, mount_from)
        else:
            _report_present(task, blob)
        return True

    def _begin_upload(self, task: Task, blob: Descriptor, mount_from: str) -> UploadSession | None:
        """Return an upload session, or None once the blob is mounted."""
        try:
            return begin_upload(task.destination, task.repository, blob, mount_from=mount_from)
        except (NotFoundError, AccessDeniedError, AuthenticationError) as error:
            # Registries answer 403 or 401 too for a repository that does not exist.
            self._repositories.create(task, error)
        return begin_upload(task.destination, task.repository, blob, mount_from=mount_from)


def _report_copied(task: Task, blob: Descriptor) -> None:
    task.progress.blobs_copied += 1
    task.listener.on_blob("copied", blob)


def _report_mounted(task: Task, blob: Descriptor, mounted_from: str) -> None:
    task.progress.blobs_mounted += 1
    task.listener.on_blob("mounted", blob, mounted_from=mounted_from)


def _report_present(task: Task, blob: Descriptor) -> None:
    task.progress.blobs_present += 1
    task.listener.on_blob("present", blob)
