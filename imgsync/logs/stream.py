"""A log stream to stderr that never blocks the run."""

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


class LogStream:
    """
    The current `sys.stderr`, with a buffer for a slow reader.

    Looks up `sys.stderr` at each write, because progress bars replace it. Buffers up to 8 MiB, drops lines beyond that and passes their
    number to `on_dropped` when the reader catches up.
    """

    def __init__(self) -> None:
        """Start with an empty buffer."""
        self.on_dropped: Callable[[int], None] = lambda _: None
        self._buffer: list[str] = []
        self._buffered_bytes = 0
        self._dropped = 0
        self._idle = Event()
        self._idle.set()

    def write(self, text: str) -> int:
        """Write *text* now, or buffer it."""
        if self._idle.is_set() and is_writable(sys.stderr, len(text)):
            _write(text)
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

    def _drain(self) -> None:
        while self._buffer:
            text = "".join(self._buffer)
            self._buffer.clear()
            run_in_thread(lambda text=text: _write(text))  # type: ignore[misc]
            self._buffered_bytes -= len(text)
        self._idle.set()
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self.on_dropped(dropped)


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
