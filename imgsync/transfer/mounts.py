"""
Choose where to mount a blob from, and learn which repositories cannot.

A mount needs possession: the source of this image gave the blob to this registry before, or answers a HEAD for it. Otherwise a
manifest that only names the digest of another mirror's layer would publish that layer.
"""

from __future__ import annotations

from imgsync.errors import RegistryError
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Repository
from imgsync.transfer.known_blobs import BlobAtRegistry
from imgsync.transfer.model import Task

# An answer that may concern this blob alone: an upload session, or "not found".
_ABOUT_THE_BLOB = {202, 400, 404}


class Mounts:
    """The mounts of one run, by pair of repositories."""

    def __init__(self) -> None:
        """Begin with nothing refused."""
        self._refused: set[tuple[Repository, str]] = set()
        self._proven: set[tuple[Repository, str]] = set()

    def choose(self, task: Task, blob: Descriptor, place: BlobAtRegistry) -> str:
        """Return the path of a repository to mount from, "" for none."""
        paths = (path for path in place.repositories if path != task.repository.path and (task.repository, path) not in self._refused)
        path = next(paths, "")
        return path if path and place.is_recorded_as(blob) and self._has_source(task, blob, place) else ""

    def learn_success(self, task: Task, path: str) -> None:
        """Note that the destination mounts from *path*."""
        self._proven.add((task.repository, path))

    def learn_refusal(self, task: Task, blob: Descriptor, place: BlobAtRegistry, path: str, status: int) -> None:
        """
        Note that a mount from *path* was refused with *status*.

        Either this blob is not there, or these two repositories cannot mount. Where no blob was mounted before, and this run did not
        see the blob at *path*, one HEAD finds out. A pair that cannot mount is not asked again in this run.
        """
        pair = (task.repository, path)
        is_about_the_blob = pair in self._proven
        if not is_about_the_blob and status in _ABOUT_THE_BLOB and not place.is_seen_in(path):
            is_about_the_blob = not is_present(task.destination, Repository(task.repository.registry, path), blob)
        if not is_about_the_blob:
            self._refused.add(pair)
        elif not place.is_seen_in(path):
            place.mark_missing(path)

    def _has_source(self, task: Task, blob: Descriptor, place: BlobAtRegistry) -> bool:
        """Return whether the image's source has shown that it has the blob."""
        source = task.job.source.repository
        if place.was_given_by(source.registry):
            return True
        if not is_present(task.source, source, blob):
            return False
        place.mark_given(source.registry)
        return True


def is_present(client: ImageStore, repository: Repository, blob: Descriptor) -> bool:
    """Return whether *repository* has the blob; an error means no."""
    try:
        return client.has_blob(repository, blob)
    except RegistryError:
        return False
