"""
Adapt the number of parallel requests to what a registry accepts.

Additive increase, multiplicative decrease: the limit is halved after a refusal, and grows back by one per round of successful requests.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

_CHECK_SECONDS = 0.25


class AdaptiveLimit:
    """A limit on parallel requests that `decrease` halves and `increase` raises."""

    def __init__(self, maximum: int) -> None:
        """Start at *maximum*, which is never exceeded."""
        self._maximum = maximum
        self._allowed = float(maximum)
        self._running = 0
        self._decreases = 0
        self._waiting = 0
        self._changed = threading.Condition(threading.Lock())

    @property
    def allowed(self) -> int:
        """Return how many requests may run in parallel now."""
        return int(self._allowed)

    @property
    def running(self) -> int:
        """Return how many requests are running."""
        return self._running

    @contextlib.contextmanager
    def slot(self, check: Callable[[], None]) -> Iterator[int]:
        """
        Wait for a free slot and hold it.

        Yields the generation to pass to `decrease`.

        Args:
            check: Called while waiting; an error that it raises ends the wait.
        """
        with self._changed:
            while self._running >= self.allowed:
                check()
                self._waiting += 1
                try:
                    self._changed.wait(_CHECK_SECONDS)
                finally:
                    self._waiting -= 1
            self._running += 1
            generation = self._decreases
        try:
            yield generation
        finally:
            with self._changed:
                self._running -= 1
                self._wake()

    def decrease(self, generation: int) -> None:
        """Halve the limit, once for all requests of one *generation*."""
        with self._changed:
            # Requests that began before the last decrease say nothing new.
            if generation == self._decreases:
                self._decreases += 1
                self._allowed = max(1.0, self._allowed / 2)

    def increase(self) -> None:
        """Raise the limit by its inverse: by one per round of requests."""
        if self._allowed < self._maximum:
            with self._changed:
                self._allowed = min(float(self._maximum), self._allowed + 1 / self._allowed)
                self._wake()

    def _wake(self) -> None:
        if self._waiting:
            self._changed.notify()
