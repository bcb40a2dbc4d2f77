"""
Read the blobs of a bundle.

The folder is not trusted: only regular files with the names and sizes in the document are opened, and links are not followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from imgsync.bundle.model import Bundle
from imgsync.system.chunk import Chunk


class OpenBundle:
    """The volumes of a bundle, opened when they are needed."""

    def __init__(self, folders: Sequence[Path], document: Bundle) -> None:
        """Read each volume of *document* in the first folder that has it."""
        self._folders = tuple(folders)
        self.document = document

    def has(self, digest: str) -> bool:
        """Return whether the bundle holds a blob whose volumes are there."""
        raise NotImplementedError

    def size_of(self, digest: str) -> int | None:
        """Return the size of a blob in bytes; None without it."""
        raise NotImplementedError

    def missing_volumes(self, digest: str) -> tuple[str, ...]:
        """Return the absent volumes that a blob needs, by file name."""
        raise NotImplementedError

    def read(self, digest: str, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
        """
        Yield the bytes of a blob from *start* to *end*, unchecked.

        Raises:
            BundleError: The bundle does not hold it, or its volume is missing or has another size.
            OSError: The volume cannot be read.
        """
        raise NotImplementedError

    def read_whole(self, digest: str, *, limit_bytes: int) -> bytes:
        """
        Return the bytes of a small blob, such as a manifest, checked.

        Raises:
            BundleError: As in `read`, or it is larger than *limit_bytes*.
            ContentMismatchError: The bytes do not match the digest.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close the files."""
