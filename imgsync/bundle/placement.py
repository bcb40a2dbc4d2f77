"""
Decide in which volume each blob lies, before any is read.

The same images and sizes always give the same placement.
"""

from __future__ import annotations

from collections.abc import Iterable

from imgsync.bundle.model import DEFAULT_NAME, Bundle, BundleImage, Expected
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.system.dataclass import dataclass

# Less would hold little else than the volume's own members.
MIN_VOLUME_BYTES = 1 << 20
# A file on FAT32 has at most one byte less. A volume of 4 GiB is made a little smaller, so that it fits.
FAT_LIMIT_BYTES = 4 << 30


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
    is cut.

    Raises:
        UsageError: *volume_bytes* is less than 1 MiB, or *name* is not a name for files.
        UnsupportedContentError: Two images give a blob two sizes.
    """
    raise NotImplementedError
