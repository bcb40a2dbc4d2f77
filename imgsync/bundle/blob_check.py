"""Read one blob back while it is written."""

from __future__ import annotations

import hashlib

from imgsync.bundle.journal import Piece, Stored
from imgsync.bundle.piece_files import PieceFiles


class BlobCheck:
    """
    Hashes one blob as it is read back.

    Attributes:
        digest: The blob's.
        written_bytes: How much of the blob is written.
    """

    def __init__(self, digest: str, stored: Stored) -> None:
        """
        Begin with nothing read of the places *stored*.

        They are one piece, or several that have digests of their own.
        """
        self.digest = digest
        self.written_bytes = 0
        algorithm = digest.partition(":")[0] if not stored.part_digests else "sha256"
        self._pieces = [(piece, hashlib.new(algorithm)) for piece in stored.pieces]
        self._read_bytes = 0
        self._is_readable = True

    def read(self, files: PieceFiles, end: int) -> None:
        """Read on, up to the byte *end*, which is excluded."""
        for piece, hasher in self._pieces:
            begin, stop = max(self._read_bytes, piece.start), min(end, piece.start + piece.size_bytes)
            if begin < stop:
                part = Piece(piece.volume, piece.offset + begin - piece.start, stop - begin)
                try:
                    for chunk in files.read(self.digest, [part]):
                        hasher.update(chunk)
                except OSError:
                    # The medium cannot read it; written again, it may lie elsewhere.
                    self._is_readable = False
        self._read_bytes = max(self._read_bytes, end)

    def is_intact(self, stored: Stored) -> bool:
        """Return whether all that was read has the digests of *stored*."""
        found = tuple(f"{hasher.name}:{hasher.hexdigest()}" for _, hasher in self._pieces)
        return self._is_readable and found == (stored.part_digests or (self.digest,))
