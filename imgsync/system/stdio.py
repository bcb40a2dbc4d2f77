"""
Standard streams that never fail.

A closed, full or narrow stdout or stderr must not change what is copied. Lost output is recorded for the end of the run.
"""

from __future__ import annotations

import io
import os
import sys

# Its own function: gevent replaces the one in the module.
from select import POLLOUT, poll
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDIN, _STDOUT, _STDERR = 0, 1, 2


class Stream(Protocol):
    """A stream that has a file descriptor."""

    def fileno(self) -> int:
        """Return the file descriptor."""


class _LossyOutput(io.FileIO):
    """
    A standard stream that drops what it cannot write.

    `error` is the reason of the first loss, "" also if only the reader is gone. After a loss, a stream that *resumes* is tried again with a new line.
    """

    def __init__(self, number: int, *, resumes: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.error = ""
        self._resumes = resumes
        self._has_lost = False

    def write(self, data: ReadableBuffer) -> int:
        size_bytes = memoryview(data).nbytes
        if self._has_lost and not self._resumes:
            return size_bytes
        try:
            if self._has_lost:
                # Not after the part of a line that was written before the loss.
                super().write(b"\n")
                self._has_lost = False
            while (written := super().write(data)) is None:
                # A descriptor that another process made non-blocking.
                self._wait()
        except BrokenPipeError:
            self._has_lost = True
        except OSError as error:
            self._has_lost = True
            self.error = self.error or error.strerror or str(error)
        else:
            return written
        return size_bytes

    def _wait(self) -> None:
        ready = poll()
        ready.register(self.fileno(), POLLOUT)
        ready.poll()


def protect_streams() -> None:
    """
    Replace stdout and stderr by streams that never raise an error.

    A closed descriptor becomes the null device. Call it first: the next file that is opened would get its number.
    """
    for number in (_STDIN, _STDOUT, _STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(_STDIN, "r", closefd=False)), encoding="utf-8")
    sys.stdout = _wrap(_STDOUT, sys.stdout)
    sys.stderr = _wrap(_STDERR, sys.stderr)


def find_write_error(stream: object) -> str:
    """Return why output was lost, "" if only the reader is gone."""
    return str(getattr(getattr(getattr(stream, "buffer", None), "raw", None), "error", ""))


def is_utf8(stream: object) -> bool:
    """Return whether *stream* can write every character."""
    return str(getattr(stream, "encoding", None) or "").lower().replace("-", "").replace("_", "") in {"", "utf8"}


def _wrap(number: int, old: object) -> io.TextIOWrapper:
    """Return a stream like *old* that drops what it cannot write."""
    encoding = getattr(old, "encoding", "utf-8")
    is_log = number == _STDERR
    raw = _LossyOutput(number, resumes=is_log)
    # What a narrow encoding lacks is written as an escape.
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=is_log or raw.isatty())
