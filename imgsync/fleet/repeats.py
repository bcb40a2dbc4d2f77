"""Choose when to log a state that lasts."""

from __future__ import annotations

# Between the first line and the second; then twice as long each time, up to the longest.
_FIRST_SECONDS = 10.0
_LONGEST_SECONDS = 300.0


class Repeats:
    """The moments at which a message is due, at growing intervals."""

    def __init__(self, *, after_seconds: float = 0.0) -> None:
        """Have the first message due once the state lasted *after_seconds*."""
        self._after_seconds = after_seconds
        self.end()

    def end(self) -> None:
        """Start over: the state is over."""
        self._next: float | None = None
        self._interval = _FIRST_SECONDS

    def is_due(self, now: float) -> bool:
        """Return whether to log at *now*, a time of `time.monotonic`."""
        if self._next is None:
            self._next = now + self._after_seconds
        if now < self._next:
            return False
        self._next = now + self._interval
        self._interval = min(2 * self._interval, _LONGEST_SECONDS)
        return True
