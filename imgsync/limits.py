"""What bounds one run as a whole, and whether an image still fits into it."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a run: seconds since it *began*, planning included (None: the mirrors' own), of grace after a stop; end at the first failure."""

    began: float
    run_seconds: float | None = None
    grace_seconds: float = 5.0
    fail_fast: bool = False

    @property
    def elapsed_seconds(self) -> float:
        """Return for how long the run goes on already."""
        return time.monotonic() - self.began


class Forecast:
    """How long images will take, as those of this run so far tell. One per run."""

    def __init__(self) -> None:
        """Begin with nothing learned: no image is expected to take any time."""
        self._bytes = 0
        self._seconds = 0.0
        self._quickest: float | None = None

    def learn(self, copied_bytes: int, seconds: float) -> None:
        """Take note that an image took so many *seconds*, for so many bytes that moved."""
        self._quickest = seconds if self._quickest is None else min(seconds, self._quickest)
        if copied_bytes:
            self._bytes += copied_bytes
            self._seconds += seconds

    def seconds(self, size_bytes: int) -> float:
        """Return how long an image of *size_bytes* may take if all of it has to move: at least as long as the quickest so far."""
        rate = self._bytes / self._seconds if self._seconds else 0.0
        return max(self._quickest or 0.0, size_bytes / rate if rate else 0.0)

    def fits(self, size_bytes: int, *, left_seconds: float, whole_seconds: float) -> bool:
        """
        Return whether an image is worth beginning with *left_seconds* of a run of *whole_seconds* to go.

        One that no run is long enough for is begun as long as there is time at all: its finished blobs stay, and the next run goes on from there.
        """
        if left_seconds <= 0:
            return False
        expected = self.seconds(size_bytes)
        return expected <= left_seconds or expected > whole_seconds
