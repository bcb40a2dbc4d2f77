"""What bounds one run as a whole, and whether an image still fits into it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

# What hangs is waited for another second after it was cut; then there are a report and a state to write.
_WINDING_UP_SECONDS = 2.0
# No program plans in less.
_LEAST_SECONDS = 1.0


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

    def whole_seconds(self, mirrors: Sequence[float | None]) -> float | None:
        """Return within what time the whole run ends, given what each of its *mirrors* allows itself; None when nothing says so."""
        if self.run_seconds is not None:
            return self.run_seconds
        declared = [seconds for seconds in mirrors if seconds is not None]
        return max(declared) if declared and len(declared) == len(mirrors) else None

    def cut_seconds(self, whole_seconds: float) -> float:
        """Return how long after it began a run of *whole_seconds* is cut: early enough to end in time."""
        if whole_seconds < _LEAST_SECONDS:
            # Nothing is begun, but what is left has to be found out.
            return _LEAST_SECONDS
        return whole_seconds - min(_WINDING_UP_SECONDS, whole_seconds / 2)

    def close_seconds(self, whole_seconds: float) -> float:
        """Return how long after it began a run of *whole_seconds* begins nothing more: its grace before the cut, at most half of the time until then."""
        if whole_seconds < _LEAST_SECONDS:
            return whole_seconds
        cut = self.cut_seconds(whole_seconds)
        return cut - min(self.grace_seconds, cut / 2)


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
