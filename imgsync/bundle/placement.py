"""
Decide in which volume each blob lies, before any is read.

The same images and sizes always give the same placement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from imgsync.bundle.document import require_readable
from imgsync.bundle.model import DEFAULT_NAME, MAX_VOLUMES, Bundle, BundleBlob, BundleImage, BundlePart, BundleVolume, Expected, is_volume_name, name_volume
from imgsync.bundle.tar_format import BLOCK_BYTES, END, count_member_bytes
from imgsync.bundle.volume_layout import (
    INDEX_MEMBER,
    LAYOUT_CONTENT,
    LAYOUT_MEMBER,
    UNKNOWN,
    VOLUME_MEMBER,
    group_roots,
    lay_out_volumes,
    make_entry,
    make_index,
    make_volume_document,
    name_member,
)
from imgsync.errors import UnsupportedContentError, UsageError
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_bytes

# Less would hold little else than the volume's own members.
MIN_VOLUME_BYTES = 1 << 20
# A file on FAT32 has at most one byte less. A volume of 4 GiB is made a little smaller, so that it fits.
FAT_LIMIT_BYTES = 4 << 30
_UNLIMITED_BYTES = 1 << 62
# A volume with less room than this is full, so that first-fit looks at few volumes.
_FULL_BYTES = 4096
# The longest: of a sha512 digest, with a number of four digits.
_PART_ENTRY_BYTES = len(f'"{name_member("sha512:" + "0" * 128, MAX_VOLUMES)}":"{UNKNOWN}",')
_VOLUME_DOCUMENT_BYTES = len(make_volume_document("", MAX_VOLUMES, MAX_VOLUMES, make_index(()), {}))


@dataclass(frozen=True, slots=True)
class Content:
    """
    One image, and what of it goes into the bundle.

    `blobs` are its manifests and blobs, and those of its referrers, in the order in which they are read; without those that are left out.
    """

    image: BundleImage
    blobs: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """
    Where each blob of a bundle will lie.

    `draft` is the bundle without its id and without the digests of parts. `name` is the first part of the names of its volumes.
    """

    name: str
    draft: Bundle


def place(
    contents: Iterable[Content],
    *,
    volume_bytes: int | None = None,
    name: str = DEFAULT_NAME,
    expects: Iterable[Expected] = (),
    parent: str = "",
    inventory: str = "",
) -> Placement:
    """
    Place *contents* in volumes of at most *volume_bytes* each.

    Images are sorted by destination and source. A blob goes into the first volume that has room for it; one that is larger than a volume
    is cut at multiples of what a volume holds.

    Raises:
        UsageError: *volume_bytes* is less than 1 MiB, *name* is not a name for files, there would be more than 9,999 volumes, or too many images.
        UnsupportedContentError: Two images give a blob two sizes.
    """
    limit = check_volume_bytes(volume_bytes)
    if not is_volume_name(name):
        raise UsageError(f"{name!r} cannot be the name of a bundle", hint="use letters, digits, `.`, `_` and `-`, at most 64")
    ordered = sorted(contents, key=lambda one: (str(one.image.destination), str(one.image.source)))
    images = tuple(content.image for content in ordered)
    shelf = _Shelf(images, limit)
    blobs = tuple(shelf.add(blob) for blob in _merge_blobs(ordered))
    left_out = tuple(sorted(expects, key=lambda one: one.digest))
    files = tuple(BundleVolume(name_volume(name, number), 0) for number in range(1, shelf.count + 1))
    draft = Bundle(images, blobs, files, left_out, parent, inventory)
    sizes = [layout.size_bytes for layout in lay_out_volumes(draft)]
    volumes = tuple(BundleVolume(file.file, size) for file, size in zip(files, sizes, strict=True))
    placed = Bundle(images, blobs, volumes, left_out, parent, inventory)
    require_readable(placed)
    return Placement(name, placed)


def check_volume_bytes(volume_bytes: int | None) -> int:
    """
    Return the largest volume for a limit of *volume_bytes*.

    Raises:
        UsageError: It is less than 1 MiB.
    """
    if volume_bytes is None:
        return _UNLIMITED_BYTES
    if volume_bytes < MIN_VOLUME_BYTES:
        raise UsageError(f"a volume of {format_bytes(volume_bytes)} is too small", hint=f"give at least {format_bytes(MIN_VOLUME_BYTES)}")
    return volume_bytes - BLOCK_BYTES if volume_bytes == FAT_LIMIT_BYTES else volume_bytes


def _merge_blobs(contents: Sequence[Content]) -> Iterator[Descriptor]:
    """Yield each blob once, where it comes first."""
    sizes: dict[str, int] = {}
    for blob in (blob for content in contents for blob in content.blobs):
        if blob.digest not in sizes:
            yield blob
        known = sizes.setdefault(blob.digest, blob.size_bytes)
        if known != blob.size_bytes:
            raise UnsupportedContentError(f"the images give the blob {blob.digest} two sizes: {known} and {blob.size_bytes} bytes")


class _Shelf:
    """The volumes while they fill up."""

    def __init__(self, images: Iterable[BundleImage], limit: int) -> None:
        """Start without a volume; none gets larger than *limit*."""
        self._limit = limit
        self._roots = group_roots(images)
        self._open: list[_Volume] = []
        self.count = 0
        with_part = _Volume(0)
        with_part.parts = 1
        # A pax header of three blocks, since the size of a part may need one.
        self._part_bytes = (limit - with_part.count_bytes() - 3 * BLOCK_BYTES) // BLOCK_BYTES * BLOCK_BYTES

    def add(self, blob: Descriptor) -> BundleBlob:
        """Place *blob*, in parts if it is larger than a volume."""
        entries = [make_entry(image, blob.size_bytes) for image in self._roots.get(blob.digest, ())]
        member_bytes = count_member_bytes(name_member(blob.digest), blob.size_bytes)
        whole = _Volume(0)
        whole.add(member_bytes, entries)
        if whole.count_bytes() <= self._limit:
            return BundleBlob(blob.digest, blob.size_bytes, self._find_room(member_bytes, entries))
        parts: list[BundlePart] = []
        left = blob.size_bytes
        while left:
            size = min(left, self._part_bytes)
            left -= size
            parts.append(BundlePart(self._find_room(count_member_bytes(name_member(blob.digest, len(parts) + 1), size), (), is_part=True), size))
        return BundleBlob(blob.digest, blob.size_bytes, 0, tuple(parts))

    def _find_room(self, member_bytes: int, entries: Sequence[bytes], *, is_part: bool = False) -> int:
        """Put a member into the first volume with room; return its number."""
        for volume in self._open:
            if volume.count_bytes(member_bytes, entries, is_part=is_part) <= self._limit:
                break
        else:
            if self.count == MAX_VOLUMES:
                raise UsageError(f"the bundle would have more than {MAX_VOLUMES:,} volumes", hint="set a larger --volume-size")
            self.count += 1
            volume = _Volume(self.count)
            self._open.append(volume)
        volume.add(member_bytes, entries, is_part=is_part)
        if self._limit - volume.count_bytes() < _FULL_BYTES:
            self._open.remove(volume)
        return volume.number


class _Volume:
    """The sizes of what one volume holds."""

    def __init__(self, number: int) -> None:
        """Start with a volume that holds no blob."""
        self.number = number
        self.parts = 0
        self._index_bytes = len(make_index(()))
        self._blob_bytes = 0

    def add(self, member_bytes: int, entries: Sequence[bytes], *, is_part: bool = False) -> None:
        """Add a member, and *entries* to the index."""
        self._blob_bytes += member_bytes
        self._index_bytes += _count_entries(entries)
        self.parts += is_part

    def count_bytes(self, member_bytes: int = 0, entries: Sequence[bytes] = (), *, is_part: bool = False) -> int:
        """Return the largest size of the volume with one more member."""
        parts = (self.parts + is_part) * _PART_ENTRY_BYTES
        return (
            count_member_bytes(LAYOUT_MEMBER, len(LAYOUT_CONTENT))
            + count_member_bytes(INDEX_MEMBER, self._index_bytes + _count_entries(entries))
            + count_member_bytes(VOLUME_MEMBER, _VOLUME_DOCUMENT_BYTES + parts)
            + self._blob_bytes
            + member_bytes
            + len(END)
        )


def _count_entries(entries: Sequence[bytes]) -> int:
    return sum(len(entry) + 1 for entry in entries)
