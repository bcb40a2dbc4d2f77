"""
Estimate the time that is left.

What a request and a byte take is learned from the last seconds. Small images take requests, large ones bytes: what a run has not had
yet keeps its usual time, so that small images first do not make hours of the large ones.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from imgsync.system.dataclass import dataclass

# What they take in a usual run, all its connections together.
_SECONDS_PER_REQUEST = 0.02
_SECONDS_PER_BYTE = 1 / (25 << 20)
_WINDOW_SECONDS = 10.0
_STEP_SECONDS = 1.0
# Before this, the beginning of a run says little.
_SOONEST_SECONDS = 3.0
# How much of the difference to the last seconds is learned at once.
_GAIN = 0.1
_SMALLEST_FACTOR = 0.01


@dataclass(frozen=True, slots=True)
class _Sample:
    seconds: float
    bytes_moved: int
    requests: int


class TimeLeft:
    """Learns what requests and bytes take."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Measure by *clock*."""
        self._clock = clock
        self._began: float | None = None
        self._samples: deque[_Sample] = deque()
        self._steps = 0
        self._is_moving = False
        # How often what they take in a usual run.
        self._request_factor = 1.0
        self._byte_factor = 1.0

    def observe(self, bytes_moved: int, requests: int) -> None:
        """Learn from the totals so far, once a second at most."""
        now = self._clock()
        if self._began is None:
            self._began = now
        elif now - self._samples[-1].seconds < _STEP_SECONDS:
            return
        self._samples.append(_Sample(now, bytes_moved, requests))
        # The first sample stays as the beginning of the window.
        while len(self._samples) > 2 and now - self._samples[1].seconds >= _WINDOW_SECONDS:
            self._samples.popleft()
        self._learn()

    def estimate(self, bytes_left: int, requests_left: float) -> float | None:
        """Return seconds; None if nothing moves, or at the beginning."""
        if self._began is None or not self._is_moving or self._samples[-1].seconds - self._began < _SOONEST_SECONDS:
            return None
        return self._request_factor * _SECONDS_PER_REQUEST * requests_left + self._byte_factor * _SECONDS_PER_BYTE * bytes_left

    def _learn(self) -> None:
        """Correct both factors; what took more of the time, more."""
        first, last = self._samples[0], self._samples[-1]
        # A byte that is moved again was counted off.
        by_bytes = max(0, last.bytes_moved - first.bytes_moved) * _SECONDS_PER_BYTE
        by_requests = (last.requests - first.requests) * _SECONDS_PER_REQUEST
        self._is_moving = by_bytes + by_requests > 0
        if not self._is_moving:
            return
        self._steps += 1
        missing = last.seconds - first.seconds - self._request_factor * by_requests - self._byte_factor * by_bytes
        correction = max(_GAIN, 1 / self._steps) * missing / (by_requests**2 + by_bytes**2)
        self._request_factor = max(_SMALLEST_FACTOR, self._request_factor + correction * by_requests)
        self._byte_factor = max(_SMALLEST_FACTOR, self._byte_factor + correction * by_bytes)
