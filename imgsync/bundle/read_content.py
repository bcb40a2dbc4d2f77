"""
Read what images consist of, and find what is held.

Blobs come in an order that `read_since` relies on: those of a manifest, then the manifest itself, children first, and then the referrers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from imgsync.bundle.holdings import Holdings
from imgsync.bundle.model import BundleImage, BundleReferrer
from imgsync.errors import RegistryError
from imgsync.images.external_layers import ExternalLayers
from imgsync.images.image import Image, ManifestCache, pull_manifest, read_image, select_root
from imgsync.images.referrers import Referrer, ReferrerReader
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.platform import Platform
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class WantedImage:
    """
    An image to carry.

    `digest` is what the source serves, and `destination_digest` what the destination has. `referrers` are as in a mirror's settings.
    """

    source: Reference
    digest: str
    destination: Reference
    destination_digest: str | None
    mirror: str
    platforms: tuple[Platform, ...] | None
    referrers: Sequence[str] | bool
    limit: int


@dataclass(frozen=True, slots=True)
class ReadReferrer:
    """A referrer, its manifests below the root, and its blobs."""

    referrer: BundleReferrer
    below: tuple[str, ...]
    blobs: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class ReadImage:
    """
    What one image consists of.

    `image` has no referrers. `blobs` are its blobs and manifests. `held` are digests that the other side has for its repository; they are
    left out, unless another image needs them.
    """

    image: BundleImage
    blobs: tuple[Descriptor, ...]
    referrers: tuple[ReadReferrer, ...]
    held: frozenset[str]

    def list_blobs(self) -> Iterator[Descriptor]:
        """Yield all that it and its referrers consist of."""
        yield from self.blobs
        for one in self.referrers:
            yield from one.blobs

    def make_image(self, referrers: Sequence[ReadReferrer]) -> BundleImage:
        """Return the image with *referrers*."""
        below = dict.fromkeys(digest for one in referrers for digest in one.below)
        manifests = (*(digest for digest in below if digest not in self.image.manifests), *self.image.manifests)
        return replace(self.image, manifests=manifests, referrers=tuple(one.referrer for one in referrers))


class ContentReader:
    """Reads the content of images; one per bundle."""

    def __init__(self, holdings: Holdings, manifests: ManifestCache, referrers: ReferrerReader, external_layers: ExternalLayers) -> None:
        """Share what the plan has read; compare with *holdings*."""
        self._holdings = holdings
        self._manifests = manifests
        self._referrers = referrers
        self._external_layers = external_layers
        self._proofs: dict[tuple[str, str, int], bool] = {}
        # Thousands of images share a few blobs.
        self._descriptors: dict[str, Descriptor] = {}

    def read(self, client: ImageStore, wanted: WantedImage) -> ReadImage:
        """
        Return what *wanted* consists of.

        Raises:
            ImgsyncError: The source cannot be read, or the image cannot be copied.
        """
        repository, limit = wanted.source.repository, wanted.limit
        pulled = pull_manifest(client, repository.with_digest(wanted.digest), self._manifests)
        selected = select_root(client, repository, pulled, wanted.platforms, cache=self._manifests)
        image = read_image(client, repository, selected, cache=self._manifests, limit=limit)
        absent = {layer.digest for layer in self._external_layers.list_absent(client, repository, image.blobs, limit=limit)}
        blobs = tuple(self._list_blobs((*image.below, image.root), absent))
        referrers = self._read_referrers(client, wanted, image, pulled)
        held = self._find_held(client, wanted, image.root, [blob for blob in blobs if not _is_manifest(image, blob)], referrers)
        return ReadImage(_make_image(wanted, image), blobs, referrers, held)

    def has_source(self, client: ImageStore, repository: Repository, blob: Descriptor) -> bool:
        """
        Return whether the source has shown that it has the blob.

        Else a manifest that only names the digest of another source's layer would publish that layer.
        """
        key = (client.registry, blob.digest, blob.size_bytes)
        if key not in self._proofs:
            try:
                self._proofs[key] = client.has_blob(repository, blob)
            except RegistryError:
                # It is read, which shows it as well.
                return False
        return self._proofs[key]

    def lacks_size(self, client: ImageStore, repository: Repository, blob: Descriptor) -> bool:
        """Return whether the source denied to have the blob, or its size."""
        return not self.has_source(client, repository, blob) and (client.registry, blob.digest, blob.size_bytes) in self._proofs

    def _read_referrers(self, client: ImageStore, wanted: WantedImage, image: Image, pulled: Manifest) -> tuple[ReadReferrer, ...]:
        # As the copy will: referrers of an index do not apply to one reduced to some platforms.
        subject = image.root.digest if image.root.digest == pulled.digest else ""
        parts = (part.digest for part in image.below)
        found = self._referrers.read(client, wanted.source.repository, subject, parts=parts, types=wanted.referrers, limit=wanted.limit, noted_as=wanted.digest)
        return tuple(self._make_referrer(one) for one in found.found)

    def _make_referrer(self, referrer: Referrer) -> ReadReferrer:
        root = referrer.root
        entry = BundleReferrer(referrer.subject, root.digest, root.artifact_type, referrer.tag)
        blobs = tuple(self._list_blobs((*referrer.image.below, root), frozenset()))
        return ReadReferrer(entry, tuple(one.digest for one in referrer.image.below), blobs)

    def _list_blobs(self, manifests: Iterable[Manifest], absent: Iterable[str]) -> Iterator[Descriptor]:
        seen = set(absent)
        for manifest in manifests:
            for blob in (*manifest.blobs, Descriptor(manifest.media_type, manifest.digest, manifest.size_bytes)):
                if blob.digest not in seen:
                    seen.add(blob.digest)
                    known = self._descriptors.setdefault(blob.digest, blob)
                    yield known if known.size_bytes == blob.size_bytes else blob

    def _find_held(
        self, client: ImageStore, wanted: WantedImage, root: Manifest, blobs: Sequence[Descriptor], referrers: Sequence[ReadReferrer]
    ) -> frozenset[str]:
        """Return which blobs the other side has; manifests are always carried."""
        roots = {digest for one in referrers for digest in (*one.below, one.referrer.digest)}
        others = [blob for one in referrers for blob in one.blobs if blob.digest not in roots]
        is_served = wanted.destination_digest is not None and root.matches(wanted.destination_digest)
        held = {blob.digest for blob in (*blobs, *others) if self._is_held(client, wanted, blob)}
        return frozenset(held | {blob.digest for blob in blobs} if is_served else held)

    def _is_held(self, client: ImageStore, wanted: WantedImage, blob: Descriptor) -> bool:
        repository = wanted.destination.repository
        held = self._holdings.find(repository.registry, blob.digest)
        if held is None or held.size_bytes not in {None, blob.size_bytes}:
            return False
        return repository.path in held.repositories or self.has_source(client, wanted.source.repository, blob)


def _make_image(wanted: WantedImage, image: Image) -> BundleImage:
    root = image.root
    # The tag of the source names another digest if only some platforms are carried.
    source = wanted.source if wanted.digest == root.digest else replace(wanted.source, digest=wanted.digest)
    return BundleImage(
        source=source,
        destination=wanted.destination,
        digest=root.digest,
        media_type=root.media_type,
        mirror=wanted.mirror,
        manifests=(*(one.digest for one in image.below), root.digest),
    )


def _is_manifest(image: Image, blob: Descriptor) -> bool:
    return blob.digest == image.root.digest or any(one.digest == blob.digest for one in image.below)
