"""
Whether a destination really holds all that an image is made of: its manifests, its blobs, and on demand their very bytes.

Asks the destination alone, each thing once. Spec: design.md §3 `verify`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imgsync.concurrency.deadline import Deadline, stream_chunks
from imgsync.concurrency.single_flight import SingleFlight
from imgsync.concurrency.workers import map_unordered
from imgsync.errors import ContentMismatchError, NotFoundError
from imgsync.oci.download import download
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.digest import DigestVerifier, verify_chunks
from imgsync.oci.spec.manifest import Descriptor, Manifest
from imgsync.oci.spec.reference import Reference, Repository

_NODE_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class HeldContent:
    """What a destination holds of one image: the blobs it is made of, and the digests of manifests and blobs that are not there."""

    blobs: tuple[Descriptor, ...]
    missing: tuple[str, ...]


class ContentChecker:
    """Looks at destinations. One per run: what many images share is asked for once per repository."""

    def __init__(self) -> None:
        """Begin with nothing asked."""
        self._manifests: dict[tuple[Repository, str], Manifest | None] = {}
        self._blobs: dict[tuple[Repository, str], bool] = {}
        self._held: dict[Reference, HeldContent] = {}
        self._sound: dict[tuple[str, str], str] = {}
        self._flights: SingleFlight[tuple[str, object, str]] = SingleFlight()

    def find_missing(self, client: RegistryClient, reference: Reference, digest: str, *, limit: int) -> HeldContent:
        """
        Return what is there of the image of *digest* that *reference* serves; one GET for each manifest, one HEAD for each blob, at most *limit* at once.

        Raises:
            RegistryError: The destination fails.
        """
        repository = reference.repository
        found: dict[str, Manifest | None] = {}
        level = [digest]
        while level and len(found) < _NODE_LIMIT:
            pulled = map_unordered(lambda one: (one, self._manifest(client, repository, one)), level, limit=limit)
            found.update(pulled)
            named = (child.digest for one in level if (manifest := found[one]) is not None for child in manifest.children)
            level = [one for one in dict.fromkeys(named) if one not in found]
        # A foreign layer lies elsewhere by nature.
        blobs = {blob.digest: blob for manifest in found.values() if manifest is not None for blob in manifest.blobs if not blob.is_external}
        here = dict(map_unordered(lambda one: (one.digest, self._has_blob(client, repository, one)), blobs.values(), limit=limit))
        gone = [one for one, manifest in found.items() if manifest is None]
        held = HeldContent(tuple(blobs.values()), (*sorted(gone), *sorted(one for one, is_here in here.items() if not is_here)))
        self._held[reference] = held
        return held

    def get(self, reference: Reference) -> HeldContent | None:
        """Return what `look` found, None when it was not asked, since *reference* does not serve what it should. Asks nobody."""
        return self._held.get(reference)

    def verify_blob(self, client: RegistryClient, repository: Repository, blob: Descriptor, *, deadline: Deadline, on_bytes: Callable[[int], None]) -> str:
        """
        Return what is wrong with the bytes of *blob*, "" when they have its digest and size; read once per registry.

        Raises:
            RegistryError: They are not to be had.
            StoppedError: There is no time left.
        """
        key = (repository.registry, blob.digest)

        def read() -> None:
            running = DigestVerifier(blob.digest, blob.size_bytes, f"blob {repository.with_digest(blob.digest)}")
            try:
                for _ in stream_chunks(verify_chunks(download(client, repository, blob), running), deadline=deadline, on_bytes=on_bytes):
                    pass
                self._sound[key] = ""
            except ContentMismatchError as error:
                self._sound[key] = error.message

        while key not in self._sound:
            self._flights.run(("bytes", *key), read)
        return self._sound[key]

    def _manifest(self, client: RegistryClient, repository: Repository, digest: str) -> Manifest | None:
        key = (repository, digest)

        def pull() -> None:
            try:
                self._manifests[key] = client.pull_manifest(repository.with_digest(digest))
            except NotFoundError:
                self._manifests[key] = None

        while key not in self._manifests:
            self._flights.run(("manifest", *key), pull)
        return self._manifests[key]

    def _has_blob(self, client: RegistryClient, repository: Repository, blob: Descriptor) -> bool:
        key = (repository, blob.digest)

        def ask() -> None:
            self._blobs[key] = client.has_blob(repository, blob)

        while key not in self._blobs:
            self._flights.run(("blob", *key), ask)
        return self._blobs[key]
