"""
Move finished blobs to the places of a new placement.

A blob moves once no other finished blob lies at its new place. If all wait for each other, one moves into a file of its own meanwhile. After a kill
within a move, the blob's digest no longer matches, and it is written again.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Generator, Iterator, Mapping, Sequence

from imgsync.bundle.journal import Journal, Piece, Stored
from imgsync.bundle.piece_files import PieceFiles


class Relocation:
    """The moves from the places in the journal to others."""

    def __init__(self, journal: Journal, files: PieceFiles, wanted: Mapping[str, Stored]) -> None:
        """Prepare to move finished blobs to the pieces of *wanted*."""
        self._journal = journal
        self._files = files
        self._wanted = wanted
        self._taken: dict[int, list[tuple[int, int, str]]] = {}

    def run(self) -> Iterator[int]:
        """Move the blobs; yield after each step."""
        for digest in [one for one in self._journal.finished if one not in self._wanted]:
            self._journal.remove(digest)
        waiting = [digest for digest in self._wanted if self._is_misplaced(digest)]
        if not waiting:
            return
        # Until the end, each blob is verified before it counts.
        self._journal.mark_unsure()
        for digest, stored in self._journal.finished.items():
            self._take(digest, stored.pieces)
        while waiting:
            # In the order of their places if all move down, in the reverse order if all move up.
            waiting = yield from self._move_free(waiting)
            left = yield from self._move_free(waiting[::-1])
            left.reverse()
            if len(left) == len(waiting) and left:
                yield from self._spill(left)
            waiting = left

    def _is_misplaced(self, digest: str) -> bool:
        stored = self._journal.finished.get(digest)
        return stored is not None and stored.pieces != self._wanted[digest].pieces

    def _move_free(self, waiting: Sequence[str]) -> Generator[int, None, list[str]]:
        """Move each blob whose place is free; return the others."""
        left = []
        for digest in waiting:
            if self._is_free(digest):
                yield from self._move(digest, self._wanted[digest])
            else:
                left.append(digest)
        return left

    def _spill(self, waiting: Sequence[str]) -> Iterator[int]:
        """Move one of *waiting* into a file of its own."""
        digest = next(one for one in waiting if self._journal.finished[one].pieces[0].volume)
        size = sum(piece.size_bytes for piece in self._journal.finished[digest].pieces)
        yield from self._move(digest, Stored((Piece(0, 0, size),)))

    def _move(self, digest: str, target: Stored) -> Iterator[int]:
        old = self._journal.finished[digest]
        self._release(digest, old.pieces)
        position = 0
        for chunk in self._files.read(digest, old.pieces):
            self._files.write(digest, target.pieces, position, chunk)
            position += len(chunk)
            yield len(chunk)
        moved = Stored(target.pieces, self._files.hash_pieces(digest, target.pieces) if target.part_digests else ())
        if self._files.is_intact(digest, Stored(target.pieces)):
            self._take(digest, target.pieces)
            self._journal.add(digest, moved)
        else:
            self._journal.remove(digest)

    def _is_free(self, digest: str) -> bool:
        """Return whether a blob can be copied to its place now."""
        old, new = self._journal.finished[digest].pieces, self._wanted[digest].pieces
        others = {other for piece in new for other in self._find_overlapping(piece)}
        if others <= {digest}:
            # Downwards, no byte is overwritten before it is read.
            return not others or (len(old) == len(new) == 1 and new[0].offset < old[0].offset)
        return False

    def _find_overlapping(self, piece: Piece) -> Iterator[str]:
        taken = self._taken.get(piece.volume, [])
        index = bisect_left(taken, (piece.end,))
        while index and taken[index - 1][1] > piece.offset:
            index -= 1
            yield taken[index][2]

    def _take(self, digest: str, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if piece.volume and piece.size_bytes:
                insort(self._taken.setdefault(piece.volume, []), (piece.offset, piece.end, digest))

    def _release(self, digest: str, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if piece.volume and piece.size_bytes:
                self._taken[piece.volume].remove((piece.offset, piece.end, digest))
