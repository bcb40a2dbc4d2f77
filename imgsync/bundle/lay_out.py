"""Decide which images and blobs a bundle has, and where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from imgsync.bundle.holdings import Holdings
from imgsync.bundle.model import DEFAULT_NAME, Expected
from imgsync.bundle.placement import Content, Placement, place
from imgsync.bundle.read_content import ReadImage
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Repository
from imgsync.system.dataclass import dataclass

# One is enough to find a blob; the others help if it is gone there.
_REPOSITORIES = 4


@dataclass(frozen=True, slots=True)
class LayoutOptions:
    """How volumes are made, and what the bundle continues."""

    volume_bytes: int | None = None
    name: str = DEFAULT_NAME
    parent: str = ""
    inventory: str = ""


def lay_out(images: Sequence[ReadImage], holdings: Holdings, options: LayoutOptions) -> Placement:
    """
    Return the placement of *images*.

    What an image can do without, and another one needs, is carried.

    Raises:
        UsageError: The volumes are too small, or there would be too many.
    """
    carried = {blob.digest for image in images for blob in image.list_blobs() if blob.digest not in image.held}
    contents = (_make_content(image, carried) for image in images)
    expects = _list_expected(images, carried, holdings, options.inventory or options.parent)
    return place(contents, volume_bytes=options.volume_bytes, name=options.name, expects=expects, parent=options.parent, inventory=options.inventory)


def find_disputed(images: Iterable[ReadImage]) -> dict[str, set[int]]:
    """Return the blobs to which images give different sizes, with all sizes."""
    sizes: dict[str, int] = {}
    disputed: dict[str, set[int]] = {}
    for image in images:
        for blob in image.list_blobs():
            if sizes.setdefault(blob.digest, blob.size_bytes) != blob.size_bytes:
                disputed.setdefault(blob.digest, {sizes[blob.digest]}).add(blob.size_bytes)
    return disputed


def drop_unfinished(images: Iterable[ReadImage], has: Callable[[str], bool]) -> Iterator[ReadImage]:
    """
    Yield the images of which *has* says that all is there.

    A referrer that is not there is left out alone, if its subject is there.
    """
    for image in images:
        if all(blob.digest in image.held or has(blob.digest) for blob in image.blobs):
            yield _drop_referrers(image, has)


def _drop_referrers(image: ReadImage, has: Callable[[str], bool]) -> ReadImage:
    whole = [one for one in image.referrers if all(blob.digest in image.held or has(blob.digest) for blob in one.blobs)]
    subjects = {*image.image.manifests, *(one.referrer.digest for one in whole)}
    kept = tuple(one for one in whole if one.referrer.subject in subjects)
    return image if len(kept) == len(image.referrers) else ReadImage(image.image, image.blobs, kept, image.held)


def _make_content(image: ReadImage, carried: set[str]) -> Content:
    blobs: dict[str, Descriptor] = {}
    for blob in image.list_blobs():
        if blob.digest in carried:
            blobs.setdefault(blob.digest, blob)
    return Content(image.make_image(image.referrers), tuple(blobs.values()))


def _list_expected(images: Sequence[ReadImage], carried: set[str], holdings: Holdings, said_by: str) -> Iterator[Expected]:
    """Yield what is left out; *said_by* told what no list has."""
    found: dict[str, tuple[Descriptor, dict[Repository, None]]] = {}
    for image in images:
        repository = image.image.destination.repository
        for blob in image.list_blobs():
            if blob.digest in image.held and blob.digest not in carried:
                _, places = found.setdefault(blob.digest, (blob, {}))
                held = holdings.find(repository.registry, blob.digest)
                if held is None or repository.path in held.repositories:
                    places[repository] = None
                if held is not None:
                    places.update(dict.fromkeys(Repository(repository.registry, path) for path in held.repositories[:_REPOSITORIES]))
    ids = _find_ids(images, holdings, found)
    is_for_several = len({image.image.destination.repository.registry for image in images}) > 1
    for digest, (blob, places) in found.items():
        paths = tuple(sorted({place.path for place in places})[:_REPOSITORIES])
        yield Expected(digest, blob.size_bytes, paths, ids.get(digest, said_by), _select_places(places) if is_for_several else ())


def _select_places(places: Iterable[Repository]) -> tuple[Repository, ...]:
    """Return the first of *places* at each registry, sorted."""
    by_registry: dict[str, list[str]] = {}
    for one in places:
        by_registry.setdefault(one.registry, []).append(one.path)
    return tuple(Repository(registry, path) for registry, paths in sorted(by_registry.items()) for path in sorted(paths)[:_REPOSITORIES])


def _find_ids(images: Iterable[ReadImage], holdings: Holdings, digests: Mapping[str, object]) -> dict[str, str]:
    """Return who says that the other side has each of *digests*."""
    ids: dict[str, str] = {}
    for registry in sorted({image.image.destination.repository.registry for image in images}):
        for digest in digests:
            held = holdings.find(registry, digest)
            if held is not None:
                ids.setdefault(digest, held.held_by)
    return ids
