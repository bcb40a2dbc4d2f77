"""Bound a wait by a moment and a check."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from imgsync.system.dataclass import dataclass

# The longest time between two checks.
TICK_SECONDS = 0.25


def never_end() -> None:
    """Let a wait continue."""


@dataclass(frozen=True, slots=True)
class WaitLimit:
    """
    When a wait ends at the latest.

    Attributes:
        ends: A moment of the monotonic clock.
        check: Called about four times a second; an error that it raises ends the wait.
    """

    ends: float
    check: Callable[[], None] = never_end

    @property
    def left_seconds(self) -> float:
        """Return the time that is left, at least 0."""
        return max(0.0, self.ends - time.monotonic())

    def raise_if_over(self) -> None:
        """
        Return while time is left.

        Raises:
            TimeoutError: The time is over.
        """
        self.check()
        if time.monotonic() >= self.ends:
            raise TimeoutError("the time is over")


def await_event(event: threading.Event, check: Callable[[], None]) -> None:
    """
    Return once *event* is set.

    *check* is called about four times a second; an error that it raises ends the wait.
    """
    # Looks before it waits. Who waits for an event that is set, but still notifies others (gevent#1520), waits too, and is forgotten once the ticks
    # of the others end.
    while not event.is_set():
        if not event.wait(TICK_SECONDS):
            check()


def limit_wait(seconds: float, check: Callable[[], None]) -> WaitLimit:
    """Return the limit of a wait that begins now."""
    return WaitLimit(time.monotonic() + seconds, check)
