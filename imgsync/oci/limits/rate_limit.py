"""How fast a registry may be asked: a declared rate, pauses it asked for, and the pulls it has left for us. One per registry, shared by all."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from imgsync.errors import LimitReachedError
from imgsync.oci.limits.pull_limit import PullLimit
from imgsync.oci.limits.retry import MAX_WAIT_SECONDS
from imgsync.text.units import format_timestamp

_A_YEAR = 365 * 86400.0
_HINT = "run again then; what was copied stays"


class RateLimit:
    """At most so many requests in any stretch of so many seconds, and a gate that a 429 closes for every caller."""

    def __init__(self, registry: str, rate: tuple[int, float] | None) -> None:
        """Begin with nothing sent to *registry*; *rate* is (requests, seconds), None no limit."""
        self.pull_limit = PullLimit(registry)
        self._registry = registry
        self._rate = rate
        # A bucket that begins full would let through twice the number in its first stretch: registries count each stretch.
        self._sent: deque[float] = deque(maxlen=rate[0] if rate else 0)
        self._opens = 0.0
        self._lock = threading.Lock()

    def wait(self, pause: Callable[[float], None]) -> None:
        """
        Return when the next request may be sent, sleeping by *pause* until then.

        Raises:
            LimitReachedError: That is more than five minutes away.
        """
        while (seconds := self._take()) > 0:
            if seconds > MAX_WAIT_SECONDS:
                raise self._asked_to_wait() or LimitReachedError(
                    f"the rate declared for {self._registry} is used up for the next {seconds / 60:.0f} minutes", hint=_HINT
                )
            pause(seconds)

    def block_for(self, seconds: float) -> None:
        """
        Let nobody send before *seconds* have passed, as the registry asked.

        Raises:
            LimitReachedError: That is more than five minutes; then nobody sends at all until they have passed.
        """
        self._opens = max(self._opens, time.monotonic() + seconds)
        if error := self._asked_to_wait():
            raise error

    def _asked_to_wait(self) -> LimitReachedError | None:
        """Return the error of who would have to wait too long until the registry may be asked again, None where that is not long."""
        seconds = self._opens - time.monotonic()
        if seconds <= MAX_WAIT_SECONDS:
            return None
        until = f"until {format_timestamp(datetime.now(UTC) + timedelta(seconds=seconds))}" if seconds < _A_YEAR else "for more than a year"
        return LimitReachedError(f"{self._registry} asks to be left alone {until}", hint=_HINT)

    def _take(self) -> float:
        """Note a request and return 0, or return the seconds until one may be sent."""
        with self._lock:
            now = time.monotonic()
            if now < self._opens:
                return self._opens - now
            if self._rate is None:
                return 0.0
            requests, seconds = self._rate
            if len(self._sent) == requests and now < self._sent[0] + seconds:
                return self._sent[0] + seconds - now
            self._sent.append(now)
            return 0.0
