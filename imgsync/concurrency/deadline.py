"""A time limit that loops and streams check."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import gevent

from imgsync.concurrency.stop import Stop
from imgsync.errors import StoppedError
from imgsync.system.chunk import Chunk

_MEBIBYTE = 1 << 20


class Deadline:
    """A time limit for one piece of work."""

    def __init__(self, seconds: float | None, *, stop: Stop | None = None, what: str = "the image", hint: str = "raise timeouts.image") -> None:
        """
        Start counting now.

        Args:
            seconds: The limit; None for no limit.
            stop: Ends the work too, once it is cancelled.
            what: Names the work in the error.
            hint: What to do if the limit was too short.
        """
        self._hint = hint
        self._ends = None if seconds is None else time.monotonic() + seconds
        self._seconds = seconds
        self._stop = stop
        self._what = what

    def check(self) -> None:
        """
        Return while time is left.

        Raises:
            StoppedError: The limit is reached, or the run is cancelled.
        """
        if self._stop is not None and self._stop.is_cancelled:
            raise StoppedError(f"stopped: {self._stop.reason}")
        if self._ends is not None and time.monotonic() > self._ends:
            raise StoppedError(f"{self._what} took longer than {self._seconds:g}s", hint=self._hint)


def stream_chunks(chunks: Iterable[Chunk], *, deadline: Deadline, on_bytes: Callable[[int], None]) -> Iterator[Chunk]:
    """Yield *chunks*, check *deadline* for each, and report their sizes."""
    since_pause = 0
    for chunk in chunks:
        deadline.check()
        yield chunk
        on_bytes(len(chunk))
        since_pause += len(chunk)
        if since_pause >= _MEBIBYTE:
            since_pause = 0
            # A fast stream starves the other greenlets. sleep(0) does not help: it runs in the same round of the event loop.
            gevent.sleep(1e-6)
