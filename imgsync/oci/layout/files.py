"""
The files of one layout: a folder or an archive.

Spec: image-spec 1.1, "OCI Image Layout Specification".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from imgsync.system.chunk import Chunk

# The file that says that a folder or an archive is a layout.
LAYOUT = "oci-layout"
LAYOUT_VERSION = "1.0.0"
LAYOUT_LIMIT_BYTES = 4096


class LayoutFiles(Protocol):
    """
    The files of one layout.

    They may be hostile: no link is followed, and nothing outside the layout is read. `path` is where it is, for messages.
    """

    @property
    def path(self) -> str:
        """Return where the layout is."""

    def read_version(self) -> object:
        """Return what changes with the index, None if nothing does."""

    def has_layout(self) -> bool:
        """
        Return whether there is a layout; False for a folder without content.

        Raises:
            LayoutError: It has other content, or a layout of an unknown version.
        """

    def read_index(self) -> bytes:
        """
        Return `index.json`, whose size is bounded.

        Raises:
            LayoutError: There is none, it is too large, or the layout is hostile.
        """

    def find_blob(self, digest: str) -> int | None:
        """Return the size of a blob in bytes, None without it."""

    def read_blob(self, digest: str, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
        """
        Yield the bytes of a blob, unchecked, from *start* to before *end*.

        Raises:
            LayoutError: The blob is not there, or is not a regular file.
            OSError: It cannot be read.
        """

    def close(self) -> None:
        """Close what is open."""
