"""
Count the pulls that a registry still allows, from its `ratelimit-*` headers.

A pull is a GET of a manifest; HEAD is free. Docker Hub sends the headers, most registries do not.
Spec: https://docs.docker.com/docker-hub/usage/pulls/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from imgsync.errors import LimitReachedError
from imgsync.oci.limits.waits import Wait, Waits
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_duration

_HEADER = re.compile(r"([0-9]{1,9})(?:\s*;\s*w=([0-9]{1,9}))?")


@dataclass(frozen=True, slots=True)
class PullQuota:
    """The pulls that a registry still allows; None means unknown."""

    remaining: int
    limit: int | None = None
    window_seconds: int | None = None

    def __str__(self) -> str:
        """Return for example `2 of 100 pulls left (per 6h00m)`."""
        of = f" of {self.limit}" if self.limit is not None else ""
        window = f" (per {format_duration(self.window_seconds)})" if self.window_seconds else ""
        return f"{self.remaining}{of} pulls left{window}"


class PullLimit:
    """
    The pull limit of one registry, shared by all callers.

    Until the first response shows whether there is a limit, pulls are sent one at a time. Greenlets switch only where they wait, so no lock is needed.
    """

    def __init__(self, registry: str) -> None:
        """Start without knowing the limit of *registry*."""
        self._registry = registry
        self._is_known = False
        self._quota: PullQuota | None = None
        self._in_flight = 0
        self._waits = Waits()
        self._waiting: list[Wait] = []

    @property
    def quota(self) -> PullQuota | None:
        """Return the pulls left; None if unlimited or not yet known."""
        return self._quota

    def acquire(self, check: Callable[[], None]) -> None:
        """
        Reserve one pull; `release` must follow.

        Args:
            check: Called while waiting; an error that it raises ends the wait.

        Raises:
            LimitReachedError: No pull is left.
        """
        while not self._is_known and self._in_flight:
            wait = Wait(check)
            self._waiting.append(wait)
            self._waits.run(wait)
        if self._quota is not None and self._quota.remaining - self._in_flight <= 0:
            raise self._make_error()
        self._in_flight += 1

    def release(self) -> None:
        """Note that a pull ended, with or without success."""
        self._in_flight -= 1
        self._end_waits()

    def update(self, headers: Mapping[str, str], *, before: PullQuota | None) -> None:
        """
        Update the quota from a response about a manifest.

        Args:
            headers: Its headers, names in lower case.
            before: The quota when the request was sent.
        """
        found = _HEADER.match(headers.get("ratelimit-remaining", ""))
        self._is_known = True
        if found is not None:
            remaining = self._choose_remaining(int(found[1]), before)
            limit = _HEADER.match(headers.get("ratelimit-limit", ""))
            self._quota = PullQuota(remaining, int(limit[1]) if limit else None, int(found[2]) if found[2] else None)
        self._end_waits()

    def exhaust(self) -> LimitReachedError:
        """Note that the registry refused a pull; return the error to raise."""
        known = self._quota or PullQuota(0)
        self._quota = PullQuota(0, known.limit, known.window_seconds)
        return self._make_error()

    def _end_waits(self) -> None:
        """Let all callers look again."""
        while self._waiting:
            self._waiting.pop().end()

    def _choose_remaining(self, remaining: int, before: PullQuota | None) -> int:
        """Return the pulls left, ignoring responses that arrive out of order."""
        # An older response must not raise the number; more pulls than when the request was sent mean a new window.
        is_new_window = before is not None and remaining > before.remaining
        return remaining if self._quota is None or is_new_window else min(remaining, self._quota.remaining)

    def _make_error(self) -> LimitReachedError:
        hint = "finished copies are kept; run again when the limit resets, or use credentials with a higher limit"
        return LimitReachedError(f"the pull limit of {self._registry} is used up: {self._quota}", hint=hint)
