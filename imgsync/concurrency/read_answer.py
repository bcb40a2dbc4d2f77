"""Read a line from the terminal while greenlets continue."""

from __future__ import annotations

import os
import termios
from collections.abc import Callable

from gevent.select import select

from imgsync.system.stdio import Stream

_POLL_SECONDS = 0.1
_LONGEST_LINE = 4096


def read_answer(stream: Stream, is_over: Callable[[], bool]) -> str | None:
    """
    Return the next line that is typed, without its end.

    Returns:
        None if *is_over* says so first. "" at the end of the input (Ctrl-D).
    """
    number = stream.fileno()
    # What was typed before the question is not an answer to it.
    termios.tcflush(number, termios.TCIFLUSH)
    while not is_over():
        if select([number], [], [], _POLL_SECONDS)[0]:
            # A terminal returns one line at a time, and nothing at Ctrl-D.
            return os.read(number, _LONGEST_LINE).decode(errors="replace").rstrip("\r\n")
    return None
