"""The time limit of a run, and a forecast for images."""

from __future__ import annotations

import time
from collections.abc import Sequence

from imgsync.system.dataclass import dataclass

# After cancelling, workers have a second to notice; then the report and the state are written.
_END_SECONDS = 2.0
# The shortest run that can still plan.
SHORTEST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """
    The time limit of a run, and its grace period.

    `began` is a moment of the monotonic clock, before planning. Without `run_seconds`, the mirrors' own limits apply.
    """

    began: float
    run_seconds: float | None = None
    grace_seconds: float = 5.0

    @property
    def elapsed_seconds(self) -> float:
        """Return the time since the run began."""
        return time.monotonic() - self.began

    def whole_seconds(self, mirrors: Sequence[float | None]) -> float | None:
        """Return the limit of the whole run, if any."""
        if self.run_seconds is not None:
            return self.run_seconds
        declared = [seconds for seconds in mirrors if seconds is not None]
        return max(declared) if declared and len(declared) == len(mirrors) else None

    def limit_seconds(self, mirror_seconds: float | None) -> float | None:
        """Return the limit of a mirror, if any."""
        return mirror_seconds if self.run_seconds is None else self.run_seconds

    def left_seconds(self, mirror_seconds: float | None) -> float | None:
        """Return the time until such a mirror is cancelled, if ever."""
        whole = self.limit_seconds(mirror_seconds)
        return None if whole is None else max(0.0, self.cancel_seconds(whole) - self.elapsed_seconds)

    def cancel_seconds(self, whole_seconds: float) -> float:
        """Return when a run of *whole_seconds* cancels its copies."""
        if whole_seconds < SHORTEST_SECONDS:
            # Nothing is copied, but the plan must find out what is left.
            return SHORTEST_SECONDS
        return whole_seconds - min(_END_SECONDS, whole_seconds / 2)

    def close_seconds(self, whole_seconds: float) -> float:
        """
        Return when a run of *whole_seconds* starts its last image.

        The grace period before it cancels, but at the earliest half-way to that moment.
        """
        if whole_seconds < SHORTEST_SECONDS:
            return whole_seconds
        cancels = self.cancel_seconds(whole_seconds)
        return cancels - min(self.grace_seconds, cancels / 2)


class Forecast:
    """Estimates how long images take. One per run."""

    def __init__(self) -> None:
        """Begin without data: estimate no time at all."""
        self._bytes = 0
        self._seconds = 0.0
        self._quickest: float | None = None

    def learn(self, copied_bytes: int, seconds: float) -> None:
        """Record that an image took *seconds* and transferred *copied_bytes*."""
        self._quickest = seconds if self._quickest is None else min(seconds, self._quickest)
        if copied_bytes:
            self._bytes += copied_bytes
            self._seconds += seconds

    def estimate_seconds(self, size_bytes: int) -> float:
        """Return how long an image of *size_bytes* takes."""
        rate = self._bytes / self._seconds if self._seconds else 0.0
        return max(self._quickest or 0.0, size_bytes / rate if rate else 0.0)

    def has_time_for(self, size_bytes: int, *, left_seconds: float, whole_seconds: float) -> bool:
        """
        Return whether to start an image of *size_bytes*.

        An image that takes longer than any run is started while there is any time left: its finished blobs stay at the destination,
        and the next run resumes from there.
        """
        if left_seconds <= 0:
            return False
        expected = self.estimate_seconds(size_bytes)
        return expected <= left_seconds or expected > whole_seconds
