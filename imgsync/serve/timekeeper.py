"""Notice when the clock of this machine jumps."""

from __future__ import annotations

from datetime import timedelta

from imgsync.serve.clock import Clock

# A clock that is set by so much was set on purpose; less is its usual correction.
JUMP_SECONDS = 5.0


class Timekeeper:
    """Compares the time of day with the time that never jumps."""

    def __init__(self, clock: Clock) -> None:
        """Begin now."""
        self._clock = clock
        self._last = (clock.now(), clock.monotonic())

    def find_jump(self) -> float:
        """Return by how many seconds the clock was set since then."""
        now, moment = self._clock.now(), self._clock.monotonic()
        expected = self._last[0] + timedelta(seconds=moment - self._last[1])
        self._last = (now, moment)
        jump = (now - expected).total_seconds()
        return jump if abs(jump) >= JUMP_SECONDS else 0.0
