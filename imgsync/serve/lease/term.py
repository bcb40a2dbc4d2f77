"""The time during which this process may write."""

from __future__ import annotations

from imgsync.errors import StoppedError
from imgsync.serve.lease.clocks import Stopwatch

_ADVICE = "another replica goes on, or this one once it holds the lease again"


class Term:
    """
    One time of holding the lease.

    It ends for good when it is not renewed in time: what began in it must not go on in the next one, when others may have written between.
    """

    __slots__ = ("_limit_seconds", "_renewed", "ended_because")

    def __init__(self, renewed: Stopwatch, *, limit_seconds: float) -> None:
        """Begin; *renewed* counts from when the request was sent that renewed it."""
        self._renewed = renewed
        self._limit_seconds = limit_seconds
        self.ended_because = ""

    @property
    def is_over(self) -> bool:
        """Return whether nothing may be written in it any longer."""
        if not self.ended_because and self._renewed.longest_seconds >= self._limit_seconds:
            self.ended_because = f"the lease was not renewed for {self._renewed.longest_seconds:.1f}s"
        return bool(self.ended_because)

    def renew(self, renewed: Stopwatch) -> None:
        """Count from *renewed*, unless it is over."""
        if not self.is_over:
            self._renewed = renewed

    def end(self, reason: str) -> None:
        """End it, unless it is over."""
        self.ended_because = self.ended_because or reason

    def check(self) -> None:
        """
        Return while this process may write.

        Raises:
            StoppedError: The term is over.
        """
        if self.is_over:
            raise StoppedError(self.ended_because, hint=_ADVICE)
