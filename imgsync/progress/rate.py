"""Measure bytes per second over the last half minute."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_WINDOW_SECONDS = 30.0
_STEP_SECONDS = 1.0


class Rate:
    """Bytes per second, from one sample a second at most."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Measure by *clock* once started."""
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque()
        self._bytes = 0

    def start(self) -> None:
        """Measure from now on, unless it was started before."""
        if not self._samples:
            self._samples.append((self._clock(), 0))

    def add(self, size_bytes: int) -> None:
        """Count bytes; negative when they are moved again."""
        self._bytes += size_bytes

    @property
    def per_second(self) -> float:
        """Return the rate, 0.0 before anything moved."""
        if not self._samples:
            return 0.0
        now = self._clock()
        if now - self._samples[-1][0] >= _STEP_SECONDS:
            self._samples.append((now, self._bytes))
        # The first sample stays as the beginning of the window.
        while len(self._samples) > 2 and now - self._samples[1][0] >= _WINDOW_SECONDS:
            self._samples.popleft()
        began, before = self._samples[0]
        return max(0.0, (self._bytes - before) / (now - began)) if now > began else 0.0
