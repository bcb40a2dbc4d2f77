"""Time that passed, also while this process or machine was paused."""

from __future__ import annotations

import time
from collections.abc import Callable

# Counts while the machine sleeps; only Linux has it.
_BOOT_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)

ReadClocks = Callable[[], tuple[float, ...]]


def read_clocks() -> tuple[float, ...]:
    """Return the seconds of each clock; the first never jumps."""
    if _BOOT_CLOCK is None:
        return time.monotonic(), time.time()
    return time.monotonic(), time.clock_gettime(_BOOT_CLOCK), time.time()


class Stopwatch:
    """
    Counts from its making, by several clocks.

    After a pause of a virtual machine its monotonic clock may not have moved, while the time of day was corrected. So who must not be late takes the
    longest time, and who must not be early the steady one.
    """

    __slots__ = ("_began", "_read")

    def __init__(self, read: ReadClocks = read_clocks) -> None:
        """Start now."""
        self._read = read
        self._began = read()

    @property
    def longest_seconds(self) -> float:
        """Return the time by the clock that counted most."""
        return max(now - began for now, began in zip(self._read(), self._began, strict=True))

    @property
    def steady_seconds(self) -> float:
        """Return the time by the clock that never jumps."""
        return self._read()[0] - self._began[0]
