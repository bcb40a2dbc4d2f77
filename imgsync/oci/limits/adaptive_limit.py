"""How many requests a registry takes at once: fewer after it said that it was too much, slowly more again while it is content."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

_SLICE_SECONDS = 0.25


class AdaptiveLimit:
    """At most so many at once: halved by `decrease`, grown by one for each full round that went well, up to *most* again."""

    def __init__(self, most: int) -> None:
        """Begin with *most* allowed."""
        self._most = most
        self._allowed = float(most)
        self._running = 0
        # Counts the cuts: what began before the last one says nothing new by complaining too.
        self._cuts = 0
        self._waiting = 0
        self._changed = threading.Condition(threading.Lock())

    @property
    def allowed(self) -> int:
        """Return how many may run at once now."""
        return int(self._allowed)

    @property
    def running(self) -> int:
        """Return how many run at this moment."""
        return self._running

    @contextlib.contextmanager
    def slot(self, check: Callable[[], None]) -> Iterator[int]:
        """Give a place, to be told of to `decrease`; *check* may end the waiting for it."""
        with self._changed:
            while self._running >= self.allowed:
                check()
                self._waiting += 1
                try:
                    self._changed.wait(_SLICE_SECONDS)
                finally:
                    self._waiting -= 1
            self._running += 1
            cuts = self._cuts
        try:
            yield cuts
        finally:
            with self._changed:
                self._running -= 1
                self._wake()

    def decrease(self, slot: int) -> None:
        """Halve what is allowed, unless that was done since *slot* began."""
        with self._changed:
            if slot == self._cuts:
                self._cuts += 1
                self._allowed = max(1.0, self._allowed / 2)

    def increase(self) -> None:
        """Allow a little more."""
        if self._allowed < self._most:
            with self._changed:
                self._allowed = min(float(self._most), self._allowed + 1 / self._allowed)
                self._wake()

    def _wake(self) -> None:
        if self._waiting:
            self._changed.notify()
