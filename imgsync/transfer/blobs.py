"""
Copy one blob to one destination repository: present, mounted, or sent.

Each blob is sent once per destination registry, however many images need it. Spec: docs/explanation/a-copy-on-the-wire.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from imgsync.errors import AccessDeniedError, AuthenticationError, ImgsyncError, NotFoundError, StoppedError, TooLargeError
from imgsync.images.external_layers import ExternalLayers
from imgsync.oci.image_store import ImageStore, Upload
from imgsync.oci.limits.retry import retry_call
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Repository
from imgsync.transfer.blob_homes import BlobHomes
from imgsync.transfer.create_repository import RepositoryCreator
from imgsync.transfer.fan_out import FanOut
from imgsync.transfer.known_blobs import BlobAtRegistry, BlobState, KnownBlobs
from imgsync.transfer.model import BlobResult, Task
from imgsync.transfer.mounts import Mounts, is_present
from imgsync.transfer.repair import Need
from imgsync.transfer.send_blob import BlobSender


class BlobCopier:
    """Copies blobs; one per run, so that shared blobs move once."""

    def __init__(self, known: KnownBlobs, external_layers: ExternalLayers, homes: BlobHomes, *, create_repository: Callable[[ImageStore, str], bool]) -> None:
        """Mount from *known* places and *homes*; create repositories with *create_repository*."""
        self._known = known
        self._homes = homes
        self._external_layers = external_layers
        self._repositories = RepositoryCreator(create_repository)
        self._mounts = Mounts()
        self._fan_out = FanOut()
        self._sender = BlobSender(self._fan_out)

    def copy_blob(self, task: Task, blob: Descriptor) -> None:
        """
        Make the destination repository hold the blob, and its home first.

        Raises:
            ImgsyncError: It cannot be read, or not be pushed.
        """
        home = self._homes.find(task, blob)
        if home and home != task.repository.path and not self._place(task, blob).repositories and task.repair.need(blob.digest) is not Need.SEND:
            self._try_home(task, blob, home)
        self._copy_blob(task, blob)

    def _try_home(self, task: Task, blob: Descriptor, home: str) -> None:
        """Make the home hold the blob, if it takes any."""
        at_home = task.move_to(Repository(task.repository.registry, home))
        try:
            self._copy_blob(at_home, blob)
        except StoppedError:
            raise
        except ImgsyncError:
            self._homes.give_up(task.repository.registry, home)
        finally:
            task.progress.add(at_home.progress)

    def _copy_blob(self, task: Task, blob: Descriptor) -> None:
        place = self._place(task, blob)
        task.repair.add_blob(blob.digest)
        try:
            while not _is_there(task, blob, place):
                if place.deliver_once(task.repository.path, lambda: self._deliver(task, blob, place)):
                    return
                task.deadline.check()
            place.check_size(blob)
            task.repair.note_believed(blob.digest)
            _report_present(task, blob)
        finally:
            self._fan_out.leave(task, blob)

    def is_expected_to_move(self, task: Task, blob: Descriptor) -> bool:
        """Return whether no repository of the registry should hold the blob."""
        return not self._place(task, blob).repositories

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

        def attempt() -> None:
            number = next(attempts)
            task.progress.attempts = max(task.progress.attempts, number)
            # After an error only the answer may be lost: ask before sending the blob again.
            while not self._is_delivered(task, blob, place, asks=number > 1 or self._homes.may_have(task, blob)):
                task.deadline.check()

        retry_call(attempt, task.destination.retry_policy, operation="copy blob", reference=task.repository.with_digest(blob.digest))

    def _is_delivered(self, task: Task, blob: Descriptor, place: BlobAtRegistry, *, asks: bool) -> bool:
        """Deliver the blob; return False to try again with a smaller body."""
        try:
            self._mount_or_send(task, blob, place, asks=asks)
        except TooLargeError:
            # The client now knows a smaller limit; try it at once, as long as there are smaller ones.
            return False
        return True

    def _mount_or_send(self, task: Task, blob: Descriptor, place: BlobAtRegistry, *, asks: bool) -> None:
        """Find, mount or send the blob."""
        place.check_size(blob)
        # The source serves external layers only if someone pushed them there.
        if blob.is_external and not self._external_layers.is_served(task.source, task.job.source.repository, blob):
            return
        need = task.repair.need(blob.digest)
        if (need is Need.ASK or (asks and need is Need.COPY)) and self._is_present(task, blob):
            task.progress.found_sizes[blob.digest] = blob.size_bytes
            place.learn_size(blob.size_bytes)
            place.mark_present(task.repository.path)
            task.listener.on_found(blob)
            _report_present(task, blob)
            return
        # Never from the repository itself, to find what an interrupted run left there: distribution rewrites the blob's link, and
        # refuses a manifest that another run pushes meanwhile. `docs/explanation/a-copy-on-the-wire.md` has the numbers.
        mount_from = "" if need is Need.SEND else self._mounts.choose(task, blob, place)
        if not mount_from:
            self._fan_out.prefetch(task, blob, self._list_readers(task, blob))
        session = self._begin_upload(task, blob, place, mount_from)
        if session is not None:
            # Listed again: another registry may have got the blob meanwhile.
            self._sender.send(task, blob, session, self._list_readers(task, blob))
            place.learn_size(blob.size_bytes)
            place.mark_given(task.job.source.repository.registry)
            _report_copied(task, blob)
        else:
            # What has another size than the record is sent, not mounted.
            if place.size_bytes is not None:
                place.learn_size(blob.size_bytes)
            task.repair.note_mounted(blob.digest)
            _report_mounted(task, blob, mount_from)
        task.progress.confirmed_sizes[blob.digest] = place.size_bytes
        place.mark_present(task.repository.path)

    def _list_readers(self, task: Task, blob: Descriptor) -> list[str]:
        """Return the other registries that will read the blob."""
        # Registries that have the blob in some repository mount it.
        others = task.job.registries - {task.repository.registry}
        return [registry for registry in others if not self._known.at(registry, blob.digest).repositories]

    def _is_present(self, task: Task, blob: Descriptor) -> bool:
        return self._homes.has_arrived(task, blob) if self._homes.is_home(task, blob) else is_present(task.destination, task.repository, blob)

    def _begin_upload(self, task: Task, blob: Descriptor, place: BlobAtRegistry, mount_from: str) -> Upload | None:
        """Return an upload session, or None once the blob is mounted."""
        try:
            session = task.destination.begin_upload(task.repository, blob, mount_from=mount_from)
        except (NotFoundError, AccessDeniedError, AuthenticationError) as error:
            # Registries answer 403 or 401 too for a repository that does not exist.
            self._repositories.create(task, error)
            session = task.destination.begin_upload(task.repository, blob, mount_from=mount_from)
        if session is None:
            self._mounts.learn_success(task, mount_from)
        elif mount_from:
            self._mounts.learn_refusal(task, blob, place, mount_from, session.mount_status)
        return session


def _is_there(task: Task, blob: Descriptor, place: BlobAtRegistry) -> bool:
    """Return whether the repository should hold the blob."""
    path = task.repository.path
    return place.is_seen_in(path) or (place.is_in(path) and task.repair.need(blob.digest) is Need.COPY and place.is_recorded_as(blob))


def _report_copied(task: Task, blob: Descriptor) -> None:
    task.progress.note_blob(blob.digest, BlobResult.COPIED)
    task.listener.on_blob("copied", blob)


def _report_mounted(task: Task, blob: Descriptor, mounted_from: str) -> None:
    task.progress.note_blob(blob.digest, BlobResult.MOUNTED)
    task.listener.on_blob("mounted", blob, mounted_from=mounted_from)


def _report_present(task: Task, blob: Descriptor) -> None:
    task.progress.note_blob(blob.digest, BlobResult.PRESENT)
    task.listener.on_blob("present", blob)
