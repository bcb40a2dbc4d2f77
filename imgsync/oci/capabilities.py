"""What a registry can do, learnt from its responses."""

from __future__ import annotations

import contextlib
import threading

_FAR_SECONDS = 0.02


class Capabilities:
    """What is known about one registry so far."""

    def __init__(self, *, body_limit_bytes: int | None = None) -> None:
        """Start with defaults and the configured *body_limit_bytes*."""
        # None until the first response shows whether the registry has the referrers API.
        self.has_referrers: bool | None = None
        # Whether the registry serves byte ranges of a blob.
        self.has_ranges = True
        # The largest accepted request body; None until one was too large.
        self.body_limit_bytes = body_limit_bytes
        # The smallest page size of a listing that was refused; None until one was.
        self.refused_page_size: int | None = None
        self._round_trip_seconds = 0.0
        self._referrers_probe = threading.Lock()

    @property
    def is_far(self) -> bool:
        """Return whether even the fastest response took so long that prefetching pays."""
        return self._round_trip_seconds > _FAR_SECONDS

    def probe_referrers(self) -> contextlib.AbstractContextManager[object]:
        """Return a lock if `has_referrers` is unknown, so that one caller asks."""
        return self._referrers_probe if self.has_referrers is None else contextlib.nullcontext()

    def learn_referrers(self, *, supported: bool) -> None:
        """Note whether the registry has the referrers API."""
        self.has_referrers = supported

    def learn_no_ranges(self) -> None:
        """Note that the registry ignores or refuses byte ranges."""
        self.has_ranges = False

    def learn_body_limit(self, limit_bytes: int) -> None:
        """Note that larger request bodies are refused; the smallest limit counts."""
        known = self.body_limit_bytes
        self.body_limit_bytes = limit_bytes if known is None else min(known, limit_bytes)

    def learn_refused_page_size(self, size: int) -> None:
        """Note that a listing refuses pages of this size; the smallest counts."""
        self.refused_page_size = min(size, self.refused_page_size or size)

    def learn_round_trip(self, seconds: float) -> None:
        """Note how long a request without a body took; the fastest counts."""
        self._round_trip_seconds = min(seconds, self._round_trip_seconds or seconds)
