"""
Sync blobs and read them back while others are written.

A large blob is read back in parts, so that little is left to read once its last byte is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial

from imgsync.bundle.blob_check import BlobCheck
from imgsync.bundle.journal import Journal, Stored
from imgsync.bundle.open_files import OpenFiles
from imgsync.bundle.piece_files import PieceFiles
from imgsync.bundle.read_file import drop_cache
from imgsync.concurrency.greenlets import Semaphore, spawn
from imgsync.concurrency.native_thread import NativeThread

# After that many bytes, what was written is synced and read back while more is written.
_ROUND_BYTES = 32 << 20
# Files are cached in blocks of up to 2 MiB. From the block that is being written, even bytes that were synced may be read from the cache.
_BEHIND_BYTES = 4 << 20


class ReadBack:
    """
    Syncs and verifies blobs, in rounds.

    Methods that *run in the thread* run in the thread that writes blobs.

    Attributes:
        damaged: Blobs that were read back with other bytes. They are no longer in the journal.
    """

    def __init__(self, folder: int, name: str, files: PieceFiles, journal: Journal, thread: NativeThread) -> None:
        """
        Verify what *thread* writes to *files*.

        They are of the bundle *name*, in the open folder *folder*.
        """
        self.damaged: set[str] = set()
        self._open_files = OpenFiles(folder)
        self._pieces = PieceFiles(self._open_files, name)
        self._files = files
        self._journal = journal
        self._writing_thread, self._thread = thread, NativeThread()
        self._checks: dict[str, BlobCheck] = {}
        self._new_bytes = 0
        self._turn = Semaphore()
        self._runs_beside = False
        self._is_closed = False
        self._error: OSError | None = None

    def note_written(self, digest: str, stored: Stored, begin: int, end: int) -> None:
        """Note that a blob's next bytes are written; runs in the thread."""
        if not begin:
            self._checks[digest] = BlobCheck(digest, stored)
        self._checks[digest].written_bytes = end
        self._new_bytes += end - begin

    def start_round(self) -> None:
        """
        Start a round beside the caller if enough was written.

        Raises:
            OSError: An earlier round failed.
        """
        self._raise_error()
        if self._new_bytes >= _ROUND_BYTES and not self._runs_beside:
            self._runs_beside = True
            spawn(self._run_beside)

    def run(self) -> None:
        """
        Sync all that was written, and read it back.

        Raises:
            OSError: It cannot be written, or an earlier round failed.
        """
        with self._turn:
            self._raise_error()
            self._run_round()

    def close(self) -> None:
        """Wait for the round that runs, and close the files."""
        with self._turn:
            self._is_closed = True
            self._open_files.close()
            self._thread.close()

    def _run_beside(self) -> None:
        try:
            with self._turn:
                if not self._is_closed:
                    self._run_round()
        except OSError as error:
            self._error = error
        finally:
            self._runs_beside = False

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run_round(self) -> None:
        names, finished, checks = self._writing_thread.run(self._take)
        try:
            damaged = self._thread.run(partial(self._verify, names, finished, checks))
        except OSError:
            self._files.mark_unsynced(names)
            raise
        self.damaged |= damaged
        if finished:
            self._writing_thread.run(partial(self._settle, set(finished), damaged))

    def _take(self) -> tuple[set[str], dict[str, Stored], list[tuple[BlobCheck, int]]]:
        """Return what to sync and to read; runs in the thread."""
        self._new_bytes = 0
        finished = {digest: self._journal.finished[digest] for digest in self._journal.unsure}
        # Of an earlier run, which may not have synced them.
        older = {self._files.name_file(digest, piece) for digest, stored in finished.items() if digest not in self._checks for piece in stored.pieces}
        return self._files.take_unsynced() | older, finished, [(check, check.written_bytes) for check in self._checks.values()]

    def _verify(self, names: Iterable[str], finished: Mapping[str, Stored], checks: Iterable[tuple[BlobCheck, int]]) -> set[str]:
        """Sync *names*, read on, and return blobs that differ."""
        for name in names:
            file = self._open_files.open(name)
            os.fsync(file)
            drop_cache(file)
        left = dict(finished)
        damaged = set()
        for check, written_bytes in checks:
            stored = left.pop(check.digest, None)
            check.read(self._pieces, written_bytes if stored is not None else written_bytes - _BEHIND_BYTES)
            if stored is not None and not check.is_intact(stored):
                damaged.add(check.digest)
        return damaged | {digest for digest, stored in left.items() if not self._pieces.is_intact(digest, stored)}

    def _settle(self, finished: set[str], damaged: set[str]) -> None:
        """Note which blobs were read back; runs in the thread."""
        for digest in finished:
            self._checks.pop(digest, None)
        for digest in damaged:
            self._journal.remove(digest)
        self._journal.mark_synced(finished)
