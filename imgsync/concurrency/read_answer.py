"""Read a line from the terminal while greenlets continue."""

from __future__ import annotations

import os
import termios
from collections.abc import Callable

from gevent.select import select

from imgsync.system.stdio import Stream

_POLL_SECONDS = 0.1
_LONGEST_LINE = 4096


def discard_typed(stream: Stream) -> None:
    """Drop what was typed so far: it answers no question to come."""
    termios.tcflush(stream.fileno(), termios.TCIFLUSH)


def read_answer(stream: Stream, is_over: Callable[[], bool]) -> str | None:
    """
    Return the next line that is typed, without its end.

    Returns:
        None if *is_over* says so first. "" if the input or the terminal ends before the line does: a part of an answer is not one.
    """
    number = stream.fileno()
    while not is_over():
        if select([number], [], [], _POLL_SECONDS)[0]:
            return _read_line(number)
    return None


def _read_line(number: int) -> str:
    try:
        # A terminal returns one line at a time, and what was typed so far at Ctrl-D.
        line = os.read(number, _LONGEST_LINE)
    except OSError:
        # The terminal is gone.
        return ""
    return line.decode(errors="replace").rstrip("\r\n") if line.endswith(b"\n") else ""
