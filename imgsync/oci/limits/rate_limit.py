"""Limit the request rate of one registry; pause after a 429."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from imgsync.errors import LimitReachedError
from imgsync.oci.limits.pull_limit import PullLimit
from imgsync.oci.limits.retry import MAX_WAIT_SECONDS
from imgsync.oci.limits.silence import Silence
from imgsync.text.units import format_timestamp

_YEAR_SECONDS = 365 * 86400.0
_HINT = "run again then; finished copies are kept"


class RateLimit:
    """
    The rate limit of one registry, shared by all callers.

    It counts the requests of every window of the declared length: a token bucket would allow twice the rate in the first one.
    """

    def __init__(self, registry: str, rate: tuple[int, float] | None) -> None:
        """Allow *rate*, (requests, seconds), to *registry*; None means no limit."""
        self.pull_limit = PullLimit(registry)
        self.silence = Silence(registry)
        self._registry = registry
        self._rate = rate
        self._sent: deque[float] = deque(maxlen=rate[0] if rate else 0)
        self._blocked_until = 0.0

    def wait(self, pause: Callable[[float], None]) -> None:
        """
        Wait until the next request may be sent, and count it.

        Args:
            pause: Sleeps for a number of seconds.

        Raises:
            LimitReachedError: The wait would exceed five minutes.
        """
        while (seconds := self._take()) > 0:
            if seconds > MAX_WAIT_SECONDS:
                raise self._make_blocked_error() or LimitReachedError(
                    f"the declared rate limit of {self._registry} is used up for the next {seconds / 60:.0f} minutes", hint=_HINT
                )
            pause(seconds)

    def block_for(self, seconds: float) -> None:
        """
        Send no request for *seconds*, because the registry asked for it.

        Raises:
            LimitReachedError: That is more than five minutes.
        """
        self._blocked_until = max(self._blocked_until, time.monotonic() + seconds)
        if error := self._make_blocked_error():
            raise error

    def follow(self, earlier: RateLimit) -> None:
        """Count what was sent under the *earlier* limit of the registry."""
        self._sent.extend(earlier._sent)
        self._blocked_until = earlier._blocked_until

    def _make_blocked_error(self) -> LimitReachedError | None:
        """Return an error if the registry blocks for over five minutes."""
        seconds = self._blocked_until - time.monotonic()
        if seconds <= MAX_WAIT_SECONDS:
            return None
        until = f"until {format_timestamp(datetime.now(UTC) + timedelta(seconds=seconds))}" if seconds < _YEAR_SECONDS else "for more than a year"
        return LimitReachedError(f"{self._registry} accepts no requests {until}", hint=_HINT)

    def _take(self) -> float:
        """Count a request and return 0, or return the seconds to wait."""
        # Greenlets switch only where they wait, so no lock is needed.
        now = time.monotonic()
        if now < self._blocked_until:
            return self._blocked_until - now
        if self._rate is None:
            return 0.0
        requests, seconds = self._rate
        if len(self._sent) == requests and now < self._sent[0] + seconds:
            return self._sent[0] + seconds - now
        self._sent.append(now)
        return 0.0
