"""Redirect a standard stream whose reader is gone."""

from __future__ import annotations

import os
from typing import Protocol


class Stream(Protocol):
    """A stream that has a file descriptor."""

    def fileno(self) -> int:
        """Return the file descriptor."""


def redirect_to_null(stream: Stream) -> None:
    """Send all further output of *stream* to the null device."""
    # Its reader is gone: what is still buffered must not raise an error at exit.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
