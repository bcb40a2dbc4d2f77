"""
Leave out images that cannot fit, for the others.

A manifest may give a blob any size. Before a bundle is laid out, the sizes are compared with the room that there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from imgsync.bundle.model import MAX_VOLUMES
from imgsync.bundle.read_content import ReadImage
from imgsync.bundle.tar_format import count_member_bytes
from imgsync.bundle.volume_layout import name_member
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import shorten_digest
from imgsync.system.dataclass import dataclass
from imgsync.system.packed_rows import split_blocks
from imgsync.text.units import format_bytes

_AT_ONCE = 16
_FALSE = "have the image pushed again at its source, or leave it out of the mirror"
_TOO_LARGE = "name a folder on a larger medium, or leave the image out of the mirror"


Named = tuple[ReadImage, Descriptor]
"""An image, and a blob that it names."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An image that cannot fit, why, and what to do about it."""

    image: ReadImage
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class Room:
    """How many bytes a bundle may have; `limit` says why."""

    size_bytes: int
    limit: str


def limit_room(room: Room, volume_bytes: int | None) -> Room:
    """Return the lesser of *room* and what 9,999 volumes hold."""
    if volume_bytes is None or volume_bytes * MAX_VOLUMES >= room.size_bytes:
        return room
    size_bytes = volume_bytes * MAX_VOLUMES
    return Room(size_bytes, f"{MAX_VOLUMES:,} volumes of {format_bytes(volume_bytes)} hold {format_bytes(size_bytes)}")


def find_unfit(images: Sequence[ReadImage], room: Room, find_false: Callable[[Sequence[Named]], Iterable[Named]]) -> Iterator[LeftOut]:
    """
    Yield the images that cannot be in a bundle of *room*.

    Nothing if all fit together. *find_false* returns those of its pairs whose source lacks the blob with this size; it is asked about the largest blobs first,
    and no longer than that can help. Then an image that needs more than all of the room is left out. What remains may still be too large together.
    """
    sizes = {blob.digest: _count_bytes(blob) for image in images for blob in _list_carried(image)}
    if sum(sizes.values()) <= room.size_bytes:
        return
    false = _find_false_sizes(images, sizes, room, find_false)
    for image in images:
        needed = sum(sizes[digest] for digest in {blob.digest for blob in _list_carried(image)})
        wrong = next((blob for blob in image.list_blobs() if (id(image), blob.digest) in false), None)
        if wrong is not None:
            what = f"it gives the blob {shorten_digest(wrong.digest)} a size of {format_bytes(wrong.size_bytes)}, and the source has none of this size"
            yield LeftOut(image, what, _FALSE)
        elif needed > room.size_bytes:
            yield LeftOut(image, f"it needs {format_bytes(needed)} alone, and {room.limit}", _TOO_LARGE)


def _find_false_sizes(
    images: Sequence[ReadImage], sizes: dict[str, int], room: Room, find_false: Callable[[Sequence[Named]], Iterable[Named]]
) -> set[tuple[int, str]]:
    """Return which images, by identity, give which blobs a false size."""
    naming: dict[str, list[Named]] = {}
    for image in images:
        # Manifests were read, so their sizes are true.
        known = set(image.make_image(image.referrers).manifests) | {one.referrer.digest for one in image.referrers}
        for blob in (blob for blob in _list_carried(image) if blob.digest not in known):
            naming.setdefault(blob.digest, []).append((image, blob))
    needed, proven = sum(sizes.values()), 0
    found: set[tuple[int, str]] = set()
    for some in split_blocks(sorted(naming, key=lambda digest: (-sizes[digest], digest)), _AT_ONCE):
        false = {(id(image), blob.digest) for image, blob in find_false([pair for digest in some for pair in naming[digest]])}
        found |= false
        for digest in some:
            if all((id(image), digest) in false for image, _ in naming[digest]):
                needed -= sizes[digest]
            else:
                proven += sizes[digest]
        if needed <= room.size_bytes or proven > room.size_bytes:
            break
    return found


def _list_carried(image: ReadImage) -> Iterator[Descriptor]:
    return (blob for blob in image.list_blobs() if blob.digest not in image.held)


def _count_bytes(blob: Descriptor) -> int:
    return count_member_bytes(name_member(blob.digest), blob.size_bytes)
