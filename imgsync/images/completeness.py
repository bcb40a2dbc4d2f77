"""
Check that a destination holds an image's content.

Manifests and blobs are checked to exist, and on request the bytes of blobs.

Each is asked for once. Spec: docs/how-to/verify.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from imgsync.concurrency.deadline import Deadline, stream_chunks
from imgsync.concurrency.single_flight import SingleFlight
from imgsync.concurrency.workers import map_unordered
from imgsync.errors import ContentMismatchError, NotFoundError
from imgsync.images.check_descriptors import check_children
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor, merge_descriptors
from imgsync.oci.spec.digest import DigestVerifier, verify_chunks
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.platform import Platform
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.system.dataclass import dataclass

_NODE_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class ContentCheck:
    """
    What the destination holds of one image.

    `blobs` are those that should be there, `missing` the digests that are not. `absent` are external layers that may be absent, `platforms`
    those of the index, None if the image is not one.
    """

    blobs: tuple[Descriptor, ...]
    missing: tuple[str, ...]
    absent: tuple[Descriptor, ...] = ()
    platforms: tuple[Platform, ...] | None = None


class ContentChecker:
    """Checks content at destinations; one per run."""

    def __init__(self) -> None:
        """Start with nothing checked."""
        self._manifests: dict[tuple[Repository, str], Manifest | None] = {}
        self._blobs: dict[tuple[Repository, str], bool] = {}
        self._held: dict[Reference, ContentCheck] = {}
        self._problems: dict[tuple[str, str], str] = {}
        self._flights: SingleFlight[tuple[str, object, str]] = SingleFlight()

    def check_content(self, client: ImageStore, reference: Reference, digest: str, *, limit: int, is_at_source: Callable[[Descriptor], bool]) -> ContentCheck:
        """
        Return what the destination holds of an image.

        Sends one request per manifest and blob.

        Args:
            client: The destination.
            reference: The tag that serves the image.
            digest: The digest of the image.
            limit: Requests at once.
            is_at_source: Returns whether the source has an external layer that the destination lacks.

        Raises:
            RegistryError: The destination fails.
            UnsupportedContentError: The image contradicts itself.
        """
        repository = reference.repository
        found: dict[str, Manifest | None] = {}
        level = [digest]
        while level and len(found) < _NODE_LIMIT:
            pulled = map_unordered(lambda one: (one, self._get_manifest(client, repository, one)), level, limit=limit)
            found.update(pulled)
            named = (child.digest for one in level if (manifest := found[one]) is not None for child in manifest.children)
            level = [one for one in dict.fromkeys(named) if one not in found]
        held_manifests = {one: manifest for one, manifest in found.items() if manifest is not None}
        check_children(held_manifests.values(), held_manifests)
        blobs = merge_descriptors(blob for manifest in held_manifests.values() for blob in manifest.blobs)
        present = dict(map_unordered(lambda one: (one.digest, self._has_blob(client, repository, one)), blobs, limit=limit))
        # An external layer need not be in a registry, but what the source has was copied.
        absent = tuple(blob for blob in blobs if blob.is_external and not present[blob.digest] and not is_at_source(blob))
        expected = tuple(blob for blob in blobs if blob not in absent)
        gone = sorted(one for one, manifest in found.items() if manifest is None)
        missing = sorted(blob.digest for blob in expected if not present[blob.digest])
        held = ContentCheck(expected, (*gone, *missing), absent, _list_platforms(held_manifests, digest))
        self._held[reference] = held
        return held

    def get(self, reference: Reference) -> ContentCheck | None:
        """Return what `check_content` found for *reference*, if anything."""
        return self._held.get(reference)

    def verify_blob(self, client: ImageStore, repository: Repository, blob: Descriptor, *, deadline: Deadline, on_bytes: Callable[[int], None]) -> str:
        """
        Return what is wrong with the bytes of *blob*, or "".

        Each blob is read once per registry.

        Raises:
            RegistryError: The blob cannot be read.
            StoppedError: No time is left.
        """
        key = (repository.registry, blob.digest)

        def read() -> None:
            running = DigestVerifier(blob.digest, blob.size_bytes, f"blob {repository.with_digest(blob.digest)}")
            try:
                for _ in stream_chunks(verify_chunks(client.download(repository, blob), running), deadline=deadline, on_bytes=on_bytes):
                    pass
                self._problems[key] = ""
            except ContentMismatchError as error:
                self._problems[key] = error.message

        while key not in self._problems:
            self._flights.run(("bytes", *key), read)
        return self._problems[key]

    def _get_manifest(self, client: ImageStore, repository: Repository, digest: str) -> Manifest | None:
        key = (repository, digest)

        def pull() -> None:
            try:
                self._manifests[key] = client.pull_manifest(repository.with_digest(digest))
            except NotFoundError:
                self._manifests[key] = None

        while key not in self._manifests:
            self._flights.run(("manifest", *key), pull)
        return self._manifests[key]

    def _has_blob(self, client: ImageStore, repository: Repository, blob: Descriptor) -> bool:
        key = (repository, blob.digest)

        def check() -> None:
            self._blobs[key] = client.has_blob(repository, blob)

        while key not in self._blobs:
            self._flights.run(("blob", *key), check)
        return self._blobs[key]


def _list_platforms(manifests: Mapping[str, Manifest], root: str) -> tuple[Platform, ...] | None:
    """Return the platforms of the index *root*, None for an image."""
    if root not in manifests or not manifests[root].is_index:
        return None
    children = (child for manifest in manifests.values() for child in manifest.children)
    return tuple(child.platform for child in children if child.platform is not None and not child.attested_digest)
