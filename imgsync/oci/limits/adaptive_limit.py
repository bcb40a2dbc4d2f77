"""
Adapt the number of parallel requests to what a registry accepts.

Additive increase, multiplicative decrease: the limit is halved after a refusal, and grows back by one per round of successful requests.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
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
        # In their order: a caller that frees a slot must not take it again before others that wait, or their images end last.
        # Greenlets switch only where they wait, so no lock is needed.
        self._waiting: deque[threading.Event] = deque()

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
        if self._waiting or self._running >= self.allowed:
            self._wait(check)
        else:
            self._running += 1
        try:
            yield self._decreases
        finally:
            self._free()

    def decrease(self, generation: int) -> None:
        """Halve the limit, once for all requests of one *generation*."""
        # Requests that began before the last decrease say nothing new.
        if generation == self._decreases:
            self._decreases += 1
            self._allowed = max(1.0, self._allowed / 2)

    def increase(self) -> None:
        """Raise the limit by its inverse: by one per round of requests."""
        if self._allowed < self._maximum:
            self._allowed = min(float(self._maximum), self._allowed + 1 / self._allowed)
            self._hand_out()

    def _wait(self, check: Callable[[], None]) -> None:
        """Wait until a slot is handed to the caller."""
        turn = threading.Event()
        self._waiting.append(turn)
        try:
            while not turn.wait(_CHECK_SECONDS):
                check()
        except BaseException:
            if turn.is_set():
                self._free()
            else:
                self._waiting.remove(turn)
            raise

    def _free(self) -> None:
        self._running -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        """Give free slots to those who wait longest."""
        while self._waiting and self._running < self.allowed:
            self._running += 1
            self._waiting.popleft().set()
