"""
The locks of a layout, between processes.

A run that writes shares `writers`: what it uploaded is not referenced yet, and nothing must be deleted meanwhile. `index` is held while the index is read,
changed and written. They are never deleted: two processes could then lock two files.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from imgsync.errors import LayoutError
from imgsync.oci.layout.safe_open import open_to_lock

_POLL_SECONDS = 0.01
_LONGEST_POLL_SECONDS = 0.2
_WAIT_SECONDS = 120.0


class LayoutLock:
    """One lock file."""

    def __init__(self, name: str, *, work: int, where: str) -> None:
        """
        Open the file *name* in *work*; make it if it is missing.

        Raises:
            LayoutError: It is a link, or no regular file.
            OSError: It cannot be opened.
        """
        opened = open_to_lock(name, parent=work, where=where)
        if opened is None:
            opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=work)
        self._file = opened
        self._where = where

    def share(self) -> None:
        """
        Share the lock until `release`.

        Raises:
            LayoutError: Another process holds it for too long.
            OSError: The file system grants no locks.
        """
        self._wait(fcntl.LOCK_SH)

    def try_hold(self) -> bool:
        """Hold the lock alone until `release`; return False if others have it."""
        return self._try(fcntl.LOCK_EX)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock alone in the block."""
        self._wait(fcntl.LOCK_EX)
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Give the lock back."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the lock back, and close the file."""
        os.close(self._file)

    def _wait(self, kind: int) -> None:
        ends = time.monotonic() + _WAIT_SECONDS
        pause = _POLL_SECONDS
        # Polled, because a blocking call would stop all greenlets.
        while not self._try(kind):
            if time.monotonic() > ends:
                what = f"another process has held a lock in {self._where} for more than {_WAIT_SECONDS:g} seconds"
                raise LayoutError(what, hint="wait until it ends, or end it, then run this again")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_POLL_SECONDS)

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
