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
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_declared_duration, format_timestamp, parse_timestamp


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a digest must wait, and until when, None if unknown."""

    reason: str
    until: str | None = None


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

    def find_hold(self, source: Reference, digest: str) -> Hold | None:
        """Return why and how long *digest* of *source* must wait."""
        if self._age is None or any(glob.fullmatch(source.tag_or_digest) for glob in self._exceptions):
            return None
        seen = parse_timestamp(self._state.get_first_seen(str(source.repository), digest))
        # A time in the future came from a wrong clock, and must not hold the digest longer.
        since = self._now if seen is None else min(seen, self._now)
        until = since + self._age
        if until <= self._now:
            return None
        # The same reason in every plan, and so the same id: a digest that no apply has seen yet has no time.
        held_by = f"held by min_age {format_declared_duration(self._age.total_seconds())}"
        if seen is None:
            return Hold(f"first seen now, {held_by}")
        return Hold(f"first seen {format_timestamp(since)}, {held_by} until {format_timestamp(until)}", format_timestamp(until))
