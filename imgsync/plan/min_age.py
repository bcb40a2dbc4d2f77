"""Whether a digest is too young to be copied: held until `min_age` has passed since it was first seen (design.md §2 `min_age`)."""

from __future__ import annotations

from datetime import datetime, timedelta

from imgsync.filters.globs import compile_glob
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.reference import Reference
from imgsync.state import StateStore
from imgsync.text.units import format_declared_duration, format_timestamp, parse_timestamp


class MinimumAge:
    """The quarantine of one mirror. First sights are the state's; who applies writes them there, since a plan changes nothing."""

    def __init__(self, tag_filter: TagFilter, state: StateStore, *, now: datetime) -> None:
        """Hold as *tag_filter* says at the moment *now*, by what *state* remembers."""
        self._age = None if tag_filter.min_age_seconds is None else timedelta(seconds=tag_filter.min_age_seconds)
        self._let_through = [compile_glob(text) for text in tag_filter.min_age_except]
        self._state = state
        self._now = now

    def explain_hold(self, source: Reference, digest: str) -> str:
        """Return why *digest*, which the tag *source* names now, must wait, in words; "" when it need not."""
        if self._age is None or any(glob.fullmatch(source.name) for glob in self._let_through):
            return ""
        seen = parse_timestamp(self._state.get_first_seen(str(source.repository), digest))
        # A clock that was wrong when the digest was seen must not hold it for longer than it was to be held.
        since = self._now if seen is None else min(seen, self._now)
        until = since + self._age
        if until <= self._now:
            return ""
        # Moments, not "an hour ago": the same plan made later has the same words, and so the same id.
        first = "first seen now" if seen is None else f"first seen {format_timestamp(since)}"
        return f"{first}, held by min_age {format_declared_duration(self._age.total_seconds())} until {format_timestamp(until)}"
