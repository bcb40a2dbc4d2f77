"""Find out what a terminal can show. Spec: https://no-color.org, https://force-color.org."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

_FALLBACK = os.terminal_size((100, 24))
_WITHOUT_ESCAPES = {"dumb", "unknown"}


class Terminal(Protocol):
    """A stream that may be a terminal."""

    def isatty(self) -> bool:
        """Return whether it is a terminal."""


def has_colour(stream: Terminal, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether text on *stream* may be coloured."""
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or (stream.isatty() and environ.get("TERM") not in _WITHOUT_ESCAPES)


def has_person(stream: Terminal, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether *stream* is a terminal that a person looks at."""
    # Some CI systems give their jobs a terminal, and keep every line.
    return stream.isatty() and not environ.get("CI")


def can_redraw(stream: Terminal, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether a person sees lines on *stream* change in place."""
    return has_person(stream, environ) and environ.get("TERM") not in _WITHOUT_ESCAPES


def rewraps_lines(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether the terminal wraps lines again when it gets narrower."""
    # Nearly all do. xterm, the Linux console and GNU screen cut them off.
    return not (environ.get("XTERM_VERSION") or environ.get("STY") or environ.get("TERM") == "linux")


def read_size(descriptor: int) -> os.terminal_size:
    """Return the size of a terminal, 100 columns if it is unknown."""
    try:
        size = os.get_terminal_size(descriptor)
    except OSError:
        return _FALLBACK
    # A terminal without a size, such as a serial line, reports zeros.
    return os.terminal_size((size.columns or _FALLBACK.columns, size.lines or _FALLBACK.lines))
