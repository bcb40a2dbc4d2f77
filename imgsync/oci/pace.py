"""How fast a registry may be asked: a declared rate, and pauses it asked for. One per registry, shared by all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Pace:
    """A token bucket of *requests* per *seconds*, and a gate that a 429 closes for every caller."""

    def __init__(self, rate: tuple[int, float] | None) -> None:
        """Begin with a full bucket; None is no limit."""
        self._rate = rate
        self._tokens = float(rate[0]) if rate else 0.0
        self._filled = time.monotonic()
        self._opens = 0.0
        self._lock = threading.Lock()

    def wait(self, pause: Callable[[float], None]) -> None:
        """Return when the next request may be sent, sleeping by *pause* until then."""
        while (seconds := self._take()) > 0:
            pause(seconds)

    def close_for(self, seconds: float) -> None:
        """Let nobody send before *seconds* have passed."""
        self._opens = max(self._opens, time.monotonic() + seconds)

    def _take(self) -> float:
        """Take a token and return 0, or return the seconds until there may be one."""
        with self._lock:
            now = time.monotonic()
            if now < self._opens:
                return self._opens - now
            if self._rate is None:
                return 0.0
            size, period = self._rate
            self._tokens = min(float(size), self._tokens + (now - self._filled) * size / period)
            self._filled = now
            if self._tokens >= 1:
                self._tokens -= 1
                return 0.0
            return (1 - self._tokens) * period / size
