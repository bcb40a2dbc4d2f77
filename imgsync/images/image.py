"""
Read an image: its manifests and its blobs.

Reads only; does not know about destinations.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from imgsync.concurrency.single_flight import SingleFlight
from imgsync.concurrency.workers import map_unordered
from imgsync.errors import UnsupportedContentError
from imgsync.images.check_descriptors import check_child, check_children
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor, merge_descriptors
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.platform import Platform
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.oci.spec.select_platforms import SelectedPlatforms, select_platforms
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_bytes

_DEPTH_LIMIT = 4
_NODE_LIMIT = 10_000
_MANIFEST_BYTES = 16 << 20
_CACHE_BYTES = 8 << 20


class ManifestCache:
    """A cache of manifests, so that copying reads none twice."""

    def __init__(self, limit_bytes: int = _CACHE_BYTES) -> None:
        """Keep at most *limit_bytes*, dropping the oldest first."""
        self._limit = limit_bytes
        self._held = 0
        self._manifests: OrderedDict[tuple[str, Repository | None], Manifest] = OrderedDict()
        self.pulls: SingleFlight[tuple[Repository, str]] = SingleFlight()

    def get(self, digest: str, repository: Repository) -> Manifest | None:
        """Return the manifest *digest* of *repository* if it is cached."""
        return self._manifests.get((digest, None)) or self._manifests.get((digest, repository))

    def add(self, manifest: Manifest, repository: Repository) -> None:
        """Add *manifest* as *repository* serves it."""
        # A manifest that does not declare its type has the type that the repository named, which no other one has to believe.
        key = (manifest.digest, None if manifest.declared_type else repository)
        if key in self._manifests:
            return
        self._manifests[key] = manifest
        self._held += manifest.size_bytes
        while self._held > self._limit and self._manifests:
            _, oldest = self._manifests.popitem(last=False)
            self._held -= oldest.size_bytes


@dataclass(frozen=True, slots=True)
class Image:
    """The root manifest, manifests below it, children first, and blobs."""

    root: Manifest
    below: tuple[Manifest, ...]
    blobs: tuple[Descriptor, ...]

    @property
    def size_bytes(self) -> int:
        """Return the compressed size of all platforms."""
        return sum(blob.size_bytes for blob in self.blobs)


def pull_manifest(client: ImageStore, reference: Reference, cache: ManifestCache, *, described_as: str = "") -> Manifest:
    """
    Return the manifest of *reference*; a digest may come from the cache.

    *described_as* is its type in the index that lists it, used if neither the manifest nor the registry names one.

    Raises:
        ImgsyncError: As `ImageStore.pull_manifest`.
    """
    pulled: Manifest | None = None

    def pull() -> None:
        nonlocal pulled
        pulled = client.pull_manifest(reference, described_as=described_as)
        cache.add(pulled, reference.repository)

    known = cache.get(reference.digest, reference.repository) if reference.digest else None
    while known is None:
        if not reference.digest:
            pull()
        else:
            # Mirrors of one image, and its destinations, ask for it at the same moment; pulls may be counted.
            cache.pulls.run((reference.repository, reference.digest), pull)
        known = pulled or cache.get(reference.digest, reference.repository)
    return known


def select_root(client: ImageStore, repository: Repository, root: Manifest, platforms: Sequence[Platform] | None, *, cache: ManifestCache) -> SelectedPlatforms:
    """
    Return *root* with only the children of *platforms*.

    An image that is not an index is copied as it is, whatever its platform.

    Raises:
        UnsupportedContentError: The index has none of *platforms*.
        RegistryError: An index within it cannot be pulled.
    """

    def read_child(parent: Manifest, child: Descriptor) -> Manifest:
        found = pull_manifest(client, repository.with_digest(child.digest), cache, described_as=child.media_type)
        check_child(parent, child, found)
        return found

    return SelectedPlatforms(root) if platforms is None or not root.is_index else select_platforms(root, platforms, read_child=read_child)


def read_image(client: ImageStore, repository: Repository, selected: SelectedPlatforms, *, cache: ManifestCache, limit: int) -> Image:
    """
    Return the image of *selected*, with *limit* pulls at once.

    Raises:
        ImgsyncError: A child is missing or damaged, or the image is nested too deeply or too large.
    """
    root, made = selected.root, {manifest.digest: manifest for manifest in selected.made}
    seen: dict[str, Manifest] = {}
    level = [root]

    def read(child: tuple[str, str]) -> Manifest:
        digest, media_type = child
        return made.get(digest) or pull_manifest(client, repository.with_digest(digest), cache, described_as=media_type)

    held = root.size_bytes
    for _ in range(_DEPTH_LIMIT):
        unread = {child.digest: child.media_type for manifest in level for child in manifest.children if child.digest not in seen}
        if len(seen) + len(unread) > _NODE_LIMIT:
            raise UnsupportedContentError(f"the image has more than {_NODE_LIMIT} manifests")
        if not unread:
            break
        level = []
        for manifest in map_unordered(read, unread.items(), limit=limit):
            level.append(manifest)
            held += manifest.size_bytes
            if held > _MANIFEST_BYTES:
                raise UnsupportedContentError(f"the image's manifests exceed {_MANIFEST_BYTES >> 20} MiB in total")
        seen.update((manifest.digest, manifest) for manifest in level)
    else:
        if any(child.digest not in seen for manifest in level for child in manifest.children):
            raise UnsupportedContentError(f"the index is nested deeper than {_DEPTH_LIMIT} levels")
    check_children((root, *seen.values()), seen)
    below = tuple(_sort_children_first(root, seen))
    image = Image(root, below, merge_descriptors(blob for manifest in (*below, root) for blob in manifest.blobs))
    _check_sizes(client, image)
    return image


def _check_sizes(client: ImageStore, image: Image) -> None:
    limit = client.max_blob_bytes
    for blob in image.blobs:
        if blob.size_bytes > limit:
            raise UnsupportedContentError(
                f"the blob {blob.digest} has {format_bytes(blob.size_bytes)}, more than max_blob_size: {format_bytes(limit)}",
                hint=f"raise `max_blob_size` of {client.registry} in registries.yaml",
            )


def _sort_children_first(root: Manifest, manifests: dict[str, Manifest]) -> list[Manifest]:
    """Return the manifests below *root*, each after its children."""
    ordered: dict[str, Manifest] = {}
    _add_children(root, manifests, ordered)
    return list(ordered.values())


def _add_children(manifest: Manifest, manifests: dict[str, Manifest], ordered: dict[str, Manifest]) -> None:
    for child in manifest.children:
        if child.digest not in ordered:
            _add_children(manifests[child.digest], manifests, ordered)
            ordered[child.digest] = manifests[child.digest]
