"""
Check whether writing to a stream would block.

A pipe that is not read, or a stopped terminal, must not stop the event loop that everything runs on.
"""

from __future__ import annotations

import os
import select
import stat
from typing import Protocol


class Stream(Protocol):
    """A stream that may have a file descriptor."""

    def fileno(self) -> int:
        """Return the file descriptor."""


def is_writable(stream: Stream, size_bytes: int) -> bool:
    """Return whether *stream* takes *size_bytes* without blocking."""
    try:
        number = stream.fileno()
        if stat.S_ISREG(os.fstat(number).st_mode):
            return True
        # POSIX: a pipe that is ready takes PIPE_BUF bytes at once.
        return size_bytes <= select.PIPE_BUF and bool(select.select([], [number], [], 0)[1])
    except (OSError, ValueError):
        # Without a descriptor, or with a closed one, the write itself reports the error.
        return True


def redirect_to_null(stream: Stream) -> None:
    """Send all further output of *stream* to the null device."""
    # Its reader is gone: what is still buffered must not raise an error at exit.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
