"""
How many pulls a registry has left for us, as its `ratelimit-*` headers tell, and what may still be spent.

A pull is a GET of a manifest; asking for its head is free. Spec: registry-facts: "Docker Hub", "Pull limits".
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from imgsync.errors import LimitReachedError
from imgsync.text.units import format_duration

_HEADER = re.compile(r"([0-9]{1,9})(?:\s*;\s*w=([0-9]{1,9}))?")
_SLICE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class PullQuota:
    """What a registry last said: pulls left, of how many (None where it does not say), in how many seconds (likewise)."""

    remaining: int
    limit: int | None = None
    window_seconds: int | None = None

    def __str__(self) -> str:
        """Return it for people."""
        of = f" of {self.limit}" if self.limit is not None else ""
        window = f" (per {format_duration(self.window_seconds)})" if self.window_seconds else ""
        return f"{self.remaining}{of} pulls left{window}"


class PullLimit:
    """The pulls left at one registry. Until its first answer tells whether they are counted at all, one pull goes alone."""

    def __init__(self, registry: str) -> None:
        """Begin knowing nothing of *registry*."""
        self._registry = registry
        self._known = False
        self._quota: PullQuota | None = None
        self._in_flight = 0
        self._changed = threading.Condition()

    @property
    def quota(self) -> PullQuota | None:
        """Return what is left, None where pulls are not counted."""
        return self._quota

    def acquire(self, check: Callable[[], None]) -> None:
        """
        Return when one pull may be made; `release` must follow. *check* may end the waiting.

        Raises:
            LimitReachedError: None is left.
        """
        with self._changed:
            while not self._known and self._in_flight:
                check()
                self._changed.wait(_SLICE_SECONDS)
            if self._quota is not None and self._quota.remaining - self._in_flight <= 0:
                raise self._spent()
            self._in_flight += 1

    def release(self) -> None:
        """Note that a pull is over, well or not."""
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()

    def update(self, headers: Mapping[str, str], *, before: PullQuota | None) -> None:
        """Take note of what an answer about a manifest says (header names in lower case); *before* is what was `quota` when it was asked for."""
        said = _HEADER.match(headers.get("ratelimit-remaining", ""))
        with self._changed:
            self._known = True
            if said is not None:
                limit = _HEADER.match(headers.get("ratelimit-limit", ""))
                remaining = int(said[1])
                # Answers overtake one another: what an older one says must not give back what is spent. More than was left before, though, is new.
                anew = before is not None and remaining > before.remaining
                if self._quota is not None and not anew:
                    remaining = min(remaining, self._quota.remaining)
                self._quota = PullQuota(remaining, int(limit[1]) if limit else None, int(said[2]) if said[2] else None)
            self._changed.notify_all()

    def exhaust(self) -> LimitReachedError:
        """Note that the registry itself says that nothing is left, and return the error to raise."""
        with self._changed:
            known = self._quota or PullQuota(0)
            self._quota = PullQuota(0, known.limit, known.window_seconds)
            return self._spent()

    def _spent(self) -> LimitReachedError:
        hint = "what was copied stays; run again when the limit allows, or give credentials whose limit is higher"
        return LimitReachedError(f"the pull limit of {self._registry} is used up: {self._quota}", hint=hint)
