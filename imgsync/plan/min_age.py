"""
Hold digests until they reach `min_age`.

The age counts from when a digest was first seen. Spec: docs/how-to/minimum-age.md.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from imgsync.filters.globs import compile_glob
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.reference import Reference
from imgsync.state import StateStore
from imgsync.text.units import format_declared_duration, format_timestamp, parse_timestamp


class MinimumAge:
    """
    The minimum age of one mirror's digests.

    `apply` records when each was first seen.
    """

    def __init__(self, tag_filter: TagFilter, state: StateStore, *, now: datetime) -> None:
        """Compare with the times recorded in *state*."""
        self._age = None if tag_filter.min_age_seconds is None else timedelta(seconds=tag_filter.min_age_seconds)
        self._exceptions = [compile_glob(text) for text in tag_filter.min_age_except]
        self._state = state
        self._now = now

    def explain_hold(self, source: Reference, digest: str) -> str:
        """Return why *digest* of *source* must wait, or ""."""
        if self._age is None or any(glob.fullmatch(source.name) for glob in self._exceptions):
            return ""
        seen = parse_timestamp(self._state.get_first_seen(str(source.repository), digest))
        # A time in the future came from a wrong clock, and must not hold the digest longer.
        since = self._now if seen is None else min(seen, self._now)
        until = since + self._age
        if until <= self._now:
            return ""
        # Absolute times: once the digest is recorded, a later plan has the same reasons, and so the same id.
        first = "first seen now" if seen is None else f"first seen {format_timestamp(since)}"
        # `render/plan_summary.py` reads the time after "until".
        return f"{first}, held by min_age {format_declared_duration(self._age.total_seconds())} until {format_timestamp(until)}"
