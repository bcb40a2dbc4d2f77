"""Stop a run in three steps: close, request, cancel."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent

from imgsync.errors import StoppedError

_GRACE_AFTER_CANCEL_SECONDS = 1.0


class Stop:
    """
    What a run may still do; loops read it, nothing is killed.

    The steps, each of which includes the ones before it:

    - closed: workers start no further item; planning and listing continue.
    - requested: planning and listing end too.
    - cancelled: running copies end at their next chunk.
    """

    def __init__(self) -> None:
        """Begin open."""
        self.reason = ""
        self.is_requested = False
        """Whether no new work of any kind may start."""
        self.is_cancelled = False
        """Whether running work must end."""
        self._is_closed = False
        self._is_interrupted = False
        self.is_idle = False
        """Whether the run only waits for a person, so that a stop ends it at once."""
        self._cancelled_at = 0.0
        self.fence: Callable[[], None] | None = None
        """Raises StoppedError once this run may write no more, whatever it still does."""

    @property
    def is_closed(self) -> bool:
        """Return whether no further item may start."""
        return self._is_closed or self.is_requested

    @property
    def is_in_grace(self) -> bool:
        """Return whether running work may end, but no new work may start."""
        return self.is_requested and not self.is_cancelled

    @property
    def is_overdue(self) -> bool:
        """Return whether the grace period after cancelling is over."""
        return self.is_cancelled and time.monotonic() - self._cancelled_at > _GRACE_AFTER_CANCEL_SECONDS

    @property
    def is_interrupted(self) -> bool:
        """Return whether a signal requested it, not a time limit."""
        return self._is_interrupted

    def close(self, reason: str, *, grace_seconds: float | None = None) -> None:
        """Start no further item; cancel after *grace_seconds* if given."""
        self.explain(reason)
        self._is_closed = True
        self._cancel_after(grace_seconds)

    def request(self, reason: str, *, grace_seconds: float | None = None, interrupted: bool = False) -> None:
        """Start no new work; cancel after *grace_seconds* if given."""
        self.explain(reason)
        self._is_interrupted = self._is_interrupted or interrupted
        self.is_requested = True
        self._cancel_after(grace_seconds)

    def cancel(self) -> None:
        """End running work at its next chunk."""
        self._cancelled_at = self._cancelled_at or time.monotonic()
        self.is_cancelled = self.is_requested = True

    def explain(self, reason: str) -> None:
        """Record why the run stops, unless a reason is known."""
        self.reason = self.reason or reason

    def raise_if_requested(self) -> None:
        """
        Return while new work may start.

        Raises:
            StoppedError: A stop was requested.
        """
        if self.is_requested:
            raise StoppedError(f"stopped: {self.reason}")

    def check_write(self) -> None:
        """
        Return while the run may write; else cancel it.

        Raises:
            StoppedError: `fence` does not let it write.
        """
        if self.fence is None:
            return
        try:
            self.fence()
        except StoppedError as error:
            self.explain(error.message)
            self.cancel()
            raise

    def _cancel_after(self, seconds: float | None) -> None:
        if seconds is not None:
            gevent.spawn_later(seconds, self.cancel)
