"""Remember what was received a short time ago."""

from __future__ import annotations

import hashlib

from imgsync.serve.clock import Clock

_SECONDS = 300.0
_LIMIT = 10_000


class RecentDeliveries:
    """
    Remembers deliveries for five minutes, at most 10,000.

    Beyond that the oldest are forgotten. A delivery that is repeated then costs one more plan, and nothing else.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin empty."""
        self._clock = clock
        self._ends: dict[bytes, float] = {}

    def has(self, key: bytes) -> bool:
        """Return whether *key* was added in the last five minutes."""
        self._forget()
        return key in self._ends

    def add(self, key: bytes) -> None:
        """Remember *key* from now on."""
        self._forget()
        self._ends.pop(key, None)
        self._ends[key] = self._clock.monotonic() + _SECONDS

    def _forget(self) -> None:
        # The oldest come first, since each is added at the end.
        now = self._clock.monotonic()
        while self._ends:
            oldest = next(iter(self._ends))
            if self._ends[oldest] > now and len(self._ends) < _LIMIT:
                return
            del self._ends[oldest]


def make_key(*parts: bytes) -> bytes:
    """Return a short key of *parts*."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()[:16]
