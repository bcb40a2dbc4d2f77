"""How long a lease lasts, and what follows from that."""

from __future__ import annotations

from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """
    The times of a lease.

    Others take it over once it was unchanged for `duration_seconds`. A holder that could not renew it for two thirds of that writes no more, and one that
    was paused meanwhile is ended after five sixths. The rest is for requests that are on their way.
    """

    duration_seconds: int = 30

    @property
    def work_seconds(self) -> float:
        """Return how long a holder may write after its last renewal."""
        return self.duration_seconds * 2 / 3

    @property
    def alarm_seconds(self) -> float:
        """Return after which time the system ends a paused holder."""
        return self.duration_seconds * 5 / 6

    @property
    def renewal_seconds(self) -> float:
        """Return the time from one renewal to the next."""
        return self.duration_seconds / 6

    @property
    def request_seconds(self) -> float:
        """Return the longest silence of the API server."""
        return self.duration_seconds / 6

    @property
    def look_seconds(self) -> float:
        """Return how often others look, and failed requests are repeated."""
        return self.duration_seconds / 15
