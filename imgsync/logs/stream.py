"""
A log stream to stderr that never blocks the run.

Lines that change in place, such as bars, are drawn through it too, so that they and the log never mix.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

from imgsync.concurrency.greenlets import Event, spawn
from imgsync.concurrency.native_thread import run_in_thread
from imgsync.concurrency.writable import is_writable

_BUFFER_BYTES = 8 << 20


class Stream(Protocol):
    """What the log is written to."""

    def write(self, text: str, /) -> int:
        """Write *text*."""

    def flush(self) -> None:
        """Flush buffered text."""

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""


class LiveText(Protocol):
    """Lines at the bottom of a terminal that change in place."""

    def draw(self) -> str:
        """Return the lines as they are now."""

    def erase(self) -> str:
        """Return what removes the lines that `draw` returned, if any."""


class LogStream:
    """
    stderr, with a buffer for a slow reader.

    Takes whole lines. Buffers up to 8 MiB, drops lines beyond that and passes their number to `on_dropped` when the reader catches up.
    """

    def __init__(self) -> None:
        """Start with an empty buffer."""
        self.on_dropped: Callable[[int], None] = lambda _: None
        self._buffer: list[str] = []
        self._buffered_bytes = 0
        self._dropped = 0
        self._idle = Event()
        self._idle.set()
        self._live: LiveText | None = None

    def write(self, text: str) -> int:
        """Write *text* now, or buffer it."""
        if self._is_ready(len(text)):
            _write(self._place(text))
        elif self._buffered_bytes + len(text) > _BUFFER_BYTES:
            self._dropped += text.count("\n")
        else:
            self._buffer.append(text)
            self._buffered_bytes += len(text)
            if self._idle.is_set():
                self._idle.clear()
                spawn(self._drain)
        return len(text)

    def flush(self) -> None:
        """Do nothing; `write` flushes."""

    def isatty(self) -> bool:
        """Return whether stderr is a terminal."""
        return sys.stderr.isatty()

    def wait_until_drained(self) -> None:
        """Wait until the buffer is empty."""
        self._idle.wait()

    def show(self, live: LiveText) -> None:
        """Keep *live* below all that is written."""
        self._live = live
        self.redraw()

    def redraw(self) -> None:
        """Draw the live lines again; skip it if the reader is slow."""
        if self._live is not None and self._is_ready(0):
            _write(self._place(""))

    def hide(self, *, wait: bool = True) -> None:
        """
        Remove the live lines.

        Without *wait* they stay on the screen of a slow reader.
        """
        if wait:
            self.wait_until_drained()
        live, self._live = self._live, None
        if live is not None and (wait or self._is_ready(0)):
            _write(live.erase())

    def _is_ready(self, size_bytes: int) -> bool:
        return self._idle.is_set() and is_writable(sys.stderr, size_bytes)

    def _place(self, text: str) -> str:
        """Return *text* with the live lines moved below it."""
        return text if self._live is None else f"{self._live.erase()}{text}{self._live.draw()}"

    def _drain(self) -> None:
        while self._buffer:
            text = "".join(self._buffer)
            self._buffer.clear()
            size_bytes = len(text)
            # Nothing is drawn meanwhile, because the stream is not idle.
            placed = self._place(text)
            run_in_thread(lambda text=placed: _write(text))  # type: ignore[misc]
            self._buffered_bytes -= size_bytes
        self._idle.set()
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self.on_dropped(dropped)


def _write(text: str) -> None:
    # One write: a terminal never shows half of a frame.
    sys.stderr.write(text)
    sys.stderr.flush()
