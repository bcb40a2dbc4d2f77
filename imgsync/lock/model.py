"""The lock of one mirror as a value."""

from __future__ import annotations

from imgsync.system.dataclass import dataclass
from imgsync.system.packed_map import PackedMap


@dataclass(frozen=True, slots=True)
class LockedImage:
    """
    A locked image: its name, digest and line.

    The name has no digest, such as `docker.io/library/alpine:3.22`, unless the image was declared by its digest alone.
    """

    image: str
    digest: str
    line: int = 0

    @property
    def reference(self) -> str:
        """Return the image with its digest, as its line has it."""
        return join_digest(self.image, self.digest)


@dataclass(frozen=True, slots=True)
class Lock:
    """
    The lock of one mirror, as read from its file.

    `declaration` is what it was made for, in line `declaration_line`. `images` are by their name, sorted.
    """

    file: str
    mirror: str
    declaration: str
    declaration_line: int
    images: PackedMap[LockedImage]


def join_digest(image: str, digest: str) -> str:
    """Return *image* with *digest*, which it may have already."""
    return image if image.endswith(f"@{digest}") else f"{image}@{digest}"
