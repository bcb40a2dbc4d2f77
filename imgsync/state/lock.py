"""Lock a state directory against other runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_RETRY_SECONDS = 0.05


@contextlib.contextmanager
def hold_lock(file: Path, *, timeout_seconds: float, check: Callable[[], None]) -> Iterator[None]:
    """
    Hold the lock *file* in the block.

    The lock ends with the process. It is polled for, because a blocking call would stop all greenlets. The file is never deleted: two processes
    could then lock two files.

    Args:
        file: Created with mode 0600, if it is missing.
        timeout_seconds: How long to wait for another process.
        check: Called while waiting; it raises to give up.

    Raises:
        BlockingIOError: Another process holds the lock for longer.
        OSError: The file cannot be opened or locked, or is a link.
    """
    ends = time.monotonic() + timeout_seconds
    opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        while not _try_lock(opened, is_last=time.monotonic() >= ends):
            check()
            time.sleep(_RETRY_SECONDS)
        yield
    finally:
        os.close(opened)


def _try_lock(opened: int, *, is_last: bool) -> bool:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if is_last:
            raise
        return False
    return True
