"""Write a file aside, and put it in place once whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Sequence

from imgsync.errors import LayoutError
from imgsync.oci.layout.safe_open import open_to_lock
from imgsync.system.chunk import Chunk

PREFIX = "new-"
_TRIES = 100


def make_version(found: os.stat_result) -> object:
    """Return a value that changes when a file is written or replaced."""
    return found.st_ino, found.st_size, found.st_mtime_ns


class StagedFile:
    """
    A file that is being written.

    Its writer holds a lock on it, so that another run can tell it from what a killed run left. All methods block.
    """

    def __init__(self, work: int) -> None:
        """
        Create an empty file in the folder *work*.

        Raises:
            OSError: It cannot be created.
        """
        self._work = work
        for _ in range(_TRIES):
            self.name = f"{PREFIX}{secrets.token_hex(8)}"
            self._file = os.open(self.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=work)
            if self._lock():
                return
            # Another run cleaned up between the two calls.
            self.discard()
        raise OSError(f"{self.name} was deleted again and again")

    def write(self, pieces: Sequence[Chunk]) -> None:
        """Append *pieces*."""
        waiting = [memoryview(piece) for piece in pieces if len(piece)]
        while waiting:
            written = os.writev(self._file, waiting)
            while waiting and written >= len(waiting[0]):
                written -= len(waiting.pop(0))
            if written:
                waiting[0] = waiting[0][written:]

    def sync(self) -> None:
        """Sync the bytes."""
        os.fsync(self._file)

    def publish(self, folder: int, name: str) -> None:
        """Sync the bytes and rename the file; *folder* is not synced."""
        self.sync()
        self.rename(folder, name)

    def rename(self, folder: int, name: str) -> None:
        """Put the file, which is synced, in its place."""
        os.replace(self.name, name, src_dir_fd=self._work, dst_dir_fd=folder)
        self._close()

    def read_version(self) -> object:
        """Return what `LayoutFolder.read_version` returns once it is the index."""
        return make_version(os.fstat(self._file))

    def discard(self) -> None:
        """Delete the file unless it is in its place, and ignore failures."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self.name, dir_fd=self._work)
            self._close()

    def _close(self) -> None:
        file, self._file = self._file, -1
        with contextlib.suppress(OSError):
            os.close(file)

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Another run takes it for abandoned, and is about to delete it.
            return False
        return os.fstat(self._file).st_nlink > 0


def delete_abandoned(work: int, *, where: str) -> int:
    """Delete files that killed runs left in *work*; return how many."""
    with os.scandir(work) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(PREFIX)]
    return sum(_delete_abandoned(work, name, where) for name in names)


def _delete_abandoned(work: int, name: str, where: str) -> bool:
    try:
        file = open_to_lock(name, parent=work, where=where)
    except (OSError, LayoutError):
        return False
    if file is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=work)
    except OSError:
        # Its writer is at work, or was faster.
        return False
    finally:
        os.close(file)
    return True
