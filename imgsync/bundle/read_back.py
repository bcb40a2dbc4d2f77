"""Write finished blobs to the medium, and read them back from there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from imgsync.bundle.journal import Stored
from imgsync.bundle.open_files import OpenFiles
from imgsync.bundle.piece_files import PieceFiles
from imgsync.bundle.read_file import drop_cache


class ReadBack:
    """Syncs and verifies blobs, while others are written."""

    def __init__(self, folder: int, name: str) -> None:
        """Use the volumes of the bundle *name* in the open folder *folder*."""
        self._files = OpenFiles(folder)
        self._pieces = PieceFiles(self._files, name)

    def run(self, names: Iterable[str], blobs: Mapping[str, Stored]) -> Iterator[str]:
        """
        Sync the files *names*, then read *blobs* back.

        Yields the digest of each blob whose bytes differ, "" for any other.

        Raises:
            OSError: They cannot be written or read.
        """
        for name in names:
            file = self._files.open(name)
            os.fsync(file)
            drop_cache(file)
            yield ""
        for digest, stored in blobs.items():
            yield "" if self._pieces.is_intact(digest, stored) else digest

    def close(self) -> None:
        """Close the files."""
        self._files.close()
