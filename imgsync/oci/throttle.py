"""Limit requests and pulls, and pause after a registry refuses some."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from imgsync.errors import RateLimitedError, RegistryError
from imgsync.oci.limits.adaptive_limit import AdaptiveLimit
from imgsync.oci.limits.rate_limit import RateLimit
from imgsync.oci.limits.retry import MAX_REFUSALS
from imgsync.oci.messages import RegistryRequest

_FIRST_PAUSE_SECONDS = 0.25
_MAX_PAUSE_SECONDS = 1.0
_OVERLOADED = {429, 503}
# A body of this size holds its slot for longer than a query.
_LARGE_BYTES = 1 << 20


class Throttle:
    """The limits of one endpoint, adapted to its responses."""

    def __init__(self, connections: int, rate_limit: RateLimit, on_parallel: Callable[[int], object]) -> None:
        """
        Allow up to *connections* requests at once.

        Args:
            connections: The ceiling.
            rate_limit: The registry's, shared by both sides.
            on_parallel: Receives each number of requests at once that is twice the last one, or lower.
        """
        self._adaptive = AdaptiveLimit(connections)
        self._on_parallel = on_parallel
        self._reported = self._adaptive.allowed
        self._rate_limit = rate_limit
        # Consecutive refusals. A registry that has not served anything yet gets no second chance for free.
        self._refusals = MAX_REFUSALS

    @property
    def running(self) -> int:
        """Return how many requests run now."""
        return self._adaptive.running

    def count_free(self, requests: int) -> int:
        """Return how many of *requests* may start now or soon."""
        # A connection takes as long as the limit takes to double.
        return min(requests, self._adaptive.expected) - self._adaptive.running

    def slot(self, request: RegistryRequest, check: Callable[[], None]) -> contextlib.AbstractContextManager[int]:
        """Return a context that holds a slot; *check* may end the wait."""
        slot = self._adaptive.slot(check, is_large=request.moved_bytes >= _LARGE_BYTES)
        return self._count_pull(slot, check) if request.counts_as_pull else slot

    @contextlib.contextmanager
    def _count_pull(self, held: contextlib.AbstractContextManager[int], check: Callable[[], None]) -> Iterator[int]:
        with held as slot:
            self._rate_limit.pull_limit.acquire(check)
            try:
                yield slot
            finally:
                self._rate_limit.pull_limit.release()

    def note_response(self, request: RegistryRequest, status: int, slot: int, *, seconds: float | None) -> None:
        """
        Allow fewer requests after 429 or 503, else perhaps more.

        Args:
            request: What was sent.
            status: The status of its response.
            slot: What `slot` gave.
            seconds: The time from the request to the head of its response, None if it says nothing about the registry.
        """
        if status in _OVERLOADED:
            self._adaptive.note_refusal(slot)
            self._refusals += 1
        else:
            # The time to close an upload grows with its size.
            self._adaptive.note_response(slot, kind=request.operation.name, seconds=None if request.closes_upload else seconds)
            self._refusals = 0
        self._report_change()

    def note_error(self, error: RegistryError) -> None:
        """Pause all callers after a rate limit or Retry-After."""
        if isinstance(error, RateLimitedError):
            error.serves_other_requests = self._refusals < MAX_REFUSALS
        if isinstance(error, RateLimitedError) or error.retry_after_seconds is not None:
            self._rate_limit.block_for(self._pause_seconds() if error.retry_after_seconds is None else error.retry_after_seconds)

    def _report_change(self) -> None:
        allowed = self._adaptive.allowed
        if allowed < self._reported or allowed >= 2 * self._reported:
            self._reported = allowed
            self._on_parallel(allowed)

    def _pause_seconds(self) -> float:
        """Return the pause after a 429 without Retry-After; it doubles each time."""
        return float(min(_MAX_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** (self._refusals - 1)))
