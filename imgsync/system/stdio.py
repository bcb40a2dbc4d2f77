"""Whether a write would wait: a pipe that nobody reads, or a terminal that is halted, must not stop the one loop that everything runs on."""

from __future__ import annotations

import os
import select
import stat
from typing import Protocol


class Outlet(Protocol):
    """What has a file descriptor, perhaps."""

    def fileno(self) -> int:
        """Return it."""


def takes(outlet: Outlet, size: int) -> bool:
    """Return whether *outlet* takes *size* bytes at once: any file does, a pipe or terminal what POSIX promises of one that is ready."""
    try:
        number = outlet.fileno()
        if stat.S_ISREG(os.fstat(number).st_mode):
            return True
        return size <= select.PIPE_BUF and bool(select.select([], [number], [], 0)[1])
    except (OSError, ValueError):
        # No descriptor, or a closed one: writing says what there is to say.
        return True


def discard(outlet: Outlet) -> None:
    """Let *outlet*, whose reader is gone, take whatever is written from now on, and what it still holds, without a complaint at exit."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, outlet.fileno())
    os.close(nothing)
