"""Write the bytes of one blob at their places."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from imgsync.bundle.journal import Journal, Stored
from imgsync.bundle.piece_files import PieceFiles
from imgsync.bundle.read_back import ReadBack
from imgsync.concurrency.native_thread import NativeThread
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import SizeCheck
from imgsync.system.chunk import Chunk

# Written at once, so that the switch to the thread costs little.
_BATCH_BYTES = 1 << 20


class BlobSink:
    """
    Takes the bytes of one blob, in order.

    The caller has checked them, and what reached the medium is hashed when it is read back: only the parts of a cut blob are hashed here. Bytes are written
    in a native thread, which does not stop other copies.
    """

    def __init__(
        self, blob: Descriptor, stored: Stored, *, files: PieceFiles, journal: Journal, read_back: ReadBack, thread: NativeThread, leave: Callable[[], None]
    ) -> None:
        """
        Prepare for *blob*, whose pieces are in *stored*.

        *files* and *journal* are used in *thread*. *leave* is called at the end.
        """
        self._digest = blob.digest
        self._size = SizeCheck(blob.size_bytes, f"blob {blob.digest}")
        self._stored = stored
        self._hashers = [hashlib.sha256() for _ in stored.pieces] if stored.part_digests else []
        self._files = files
        self._journal = journal
        self._read_back = read_back
        self._thread = thread
        self._leave = leave
        self._waiting: list[Chunk] = []
        self._waiting_bytes = 0
        self._is_open = True

    def write(self, chunk: Chunk) -> None:
        """
        Take the next bytes.

        Raises:
            ContentMismatchError: The blob is longer than it should be.
            OSError: They, or bytes before them, cannot be written, such as on a full disk.
        """
        self._size.expect(self._waiting_bytes + len(chunk))
        self._waiting.append(chunk)
        self._waiting_bytes += len(chunk)
        if self._waiting_bytes >= _BATCH_BYTES:
            self._thread.run(self._flush)
            self._read_back.start_round()

    def commit(self) -> None:
        """
        Check the size, and note the blob as finished.

        Raises:
            ContentMismatchError: The size differs; the blob is not noted.
            OSError: It, or a blob before it, cannot be written.
        """
        self._thread.run(self._finish)
        self._end()
        self._read_back.start_round()

    def abort(self) -> None:
        """Give up the blob; it may begin again. Does nothing after `commit`."""
        self._end()

    def _end(self) -> None:
        self._waiting.clear()
        if self._is_open:
            self._is_open = False
            self._leave()

    def _flush(self) -> None:
        """Write what is waiting; runs in the thread."""
        begin = self._size.seen_bytes
        while self._waiting:
            chunk = self._waiting[0]
            self._hash_parts(chunk)
            self._files.write(self._digest, self._stored.pieces, self._size.seen_bytes, chunk)
            self._size.seen_bytes += len(chunk)
            self._waiting_bytes -= len(chunk)
            del self._waiting[0]
        if begin < self._size.seen_bytes:
            self._read_back.note_written(self._digest, self._stored, begin, self._size.seen_bytes)

    def _hash_parts(self, chunk: Chunk) -> None:
        view = memoryview(chunk)
        position = self._size.seen_bytes
        for piece, hasher in zip(self._stored.pieces, self._hashers, strict=False):
            begin, end = max(position, piece.start), min(position + len(view), piece.start + piece.size_bytes)
            if begin < end:
                hasher.update(view[begin - position : end - position])

    def _finish(self) -> None:
        self._flush()
        self._size.check()
        digests = tuple(f"sha256:{hasher.hexdigest()}" for hasher in self._hashers)
        self._journal.add(self._digest, Stored(self._stored.pieces, digests))
