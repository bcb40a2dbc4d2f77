"""Write and read blobs at their places in the volumes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence

from imgsync.bundle.journal import Piece, Stored
from imgsync.bundle.model import name_volume
from imgsync.bundle.open_files import OpenFiles
from imgsync.bundle.work_folder import name_spill
from imgsync.system.chunk import Chunk

READ_BYTES = 1 << 20


class PieceFiles:
    """The files under way, written and read by pieces of blobs."""

    def __init__(self, files: OpenFiles, name: str) -> None:
        """Use the volumes of the bundle *name* among *files*."""
        self._open = files
        self._name = name
        self._unsynced: set[str] = set()

    def name_file(self, digest: str, piece: Piece) -> str:
        """Return the name of the file in which a piece lies."""
        return name_volume(self._name, piece.volume) if piece.volume else name_spill(digest)

    def take_unsynced(self) -> set[str]:
        """Return the names of files written since the last call."""
        names, self._unsynced = self._unsynced, set()
        return names

    def mark_unsynced(self, names: set[str]) -> None:
        """Have *names* synced again, since it failed."""
        self._unsynced |= names

    def write(self, digest: str, pieces: Sequence[Piece], position: int, chunk: Chunk) -> None:
        """Write *chunk* of a blob; bytes of no piece are dropped."""
        view = memoryview(chunk)
        for piece in pieces:
            begin, end = max(position, piece.start), min(position + len(view), piece.start + piece.size_bytes)
            if begin < end:
                name = self.name_file(digest, piece)
                self._unsynced.add(name)
                write_all(self._open.open(name), view[begin - position : end - position], piece.offset + begin - piece.start)

    def read(self, digest: str, pieces: Sequence[Piece]) -> Iterator[bytes]:
        """Yield the bytes of *pieces*; fewer if a file ends before."""
        for piece in pieces:
            offset, left = piece.offset, piece.size_bytes
            # Opened for each chunk: another file may be opened meanwhile.
            while left and (chunk := os.pread(self._open.open(self.name_file(digest, piece)), min(READ_BYTES, left), offset)):
                yield chunk
                offset, left = offset + len(chunk), left - len(chunk)

    def is_intact(self, digest: str, stored: Stored) -> bool:
        """Return whether a finished blob can be read with its digests."""
        expected = stored.part_digests or (digest,)
        groups = [(piece,) for piece in stored.pieces] if stored.part_digests else [stored.pieces]
        if len(groups) != len(expected):
            return False
        try:
            return all(self._hash(digest, pieces, like=one) == one for pieces, one in zip(groups, expected, strict=True))
        except OSError:
            # The medium cannot read it; written again, it may lie elsewhere.
            return False

    def hash_pieces(self, digest: str, pieces: Sequence[Piece]) -> tuple[str, ...]:
        """Return the sha256 digest of each piece."""
        return tuple(self._hash(digest, (piece,), like="sha256:") for piece in pieces)

    def _hash(self, digest: str, pieces: Sequence[Piece], *, like: str) -> str:
        hasher = hashlib.new(like.partition(":")[0])
        for chunk in self.read(digest, pieces):
            hasher.update(chunk)
        return f"{hasher.name}:{hasher.hexdigest()}"


def write_all(file: int, data: Chunk, offset: int) -> None:
    """Write all of *data* at *offset*."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def read_range(file: int, offset: int, size_bytes: int) -> Iterator[bytes]:
    """Yield *size_bytes* from *offset*; fewer if the file ends before."""
    end = offset + size_bytes
    while offset < end and (chunk := os.pread(file, min(READ_BYTES, end - offset), offset)):
        yield chunk
        offset += len(chunk)


def read_exactly(file: int, offset: int, size_bytes: int) -> bytes:
    """Return up to *size_bytes* from *offset*; fewer if the file ends before."""
    return b"".join(read_range(file, offset, size_bytes))
