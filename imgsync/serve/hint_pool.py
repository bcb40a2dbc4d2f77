"""
Hints that wait for their run.

The first one about a repository waits for a moment, in which others may come; after its run, the repository has its next one two seconds later at the
earliest. In a storm of events, all wait until it is over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from imgsync.serve.model import Hint

COLLECT_SECONDS = 0.1
QUIET_SECONDS = 2.0
# More events than that, before they could run, are a storm. It is over when none came for two seconds.
STORM_EVENTS = 50
STORM_SECONDS = 15.0
_PLACES_LIMIT = 10_000
_TAGS_LIMIT = 20
_Place = tuple[str, str]


class HintPool:
    """Collects hints by repository."""

    def __init__(self) -> None:
        """Begin empty."""
        self._tags: dict[_Place, set[str]] = {}
        self._ready_at: dict[_Place, float] = {}
        # When the next run about a repository may begin.
        self._quiet_until: dict[_Place, float] = {}
        self._events = 0
        self._first_at = 0.0
        self._last_at = 0.0

    def __len__(self) -> int:
        """Return the number of repositories that wait."""
        return len(self._tags)

    def add(self, hints: Iterable[Hint], moment: float, *, events: int = 1) -> None:
        """Add hints that *events* brought until *moment*."""
        if not self._tags:
            self._first_at, self._events = moment, 0
        if events:
            self._events += events
            self._last_at = moment
        for hint in hints:
            self._add(hint, moment)

    def find_wait(self, moment: float) -> float:
        """Return in how many seconds the first may run, infinity for none."""
        if not self._tags:
            return math.inf
        ready_at = min(self._ready_at.values())
        return max(0.0, (max(ready_at, self._storm_ends_at) if self._is_storm else ready_at) - moment)

    def take(self, moment: float) -> list[Hint]:
        """Return the hints that may run at *moment*, and forget them."""
        if self.find_wait(moment) > 0.0:
            return []
        self._quiet_until = {place: until for place, until in self._quiet_until.items() if until > moment}
        ready = [place for place, at in self._ready_at.items() if at <= moment]
        taken = [Hint(*place, tag) for place in ready for tag in sorted(self._tags[place])]
        for place in ready:
            del self._tags[place], self._ready_at[place]
            self._quiet_until[place] = moment + QUIET_SECONDS
        self._first_at, self._events = moment, 0
        return taken

    @property
    def _is_storm(self) -> bool:
        return self._events > STORM_EVENTS

    @property
    def _storm_ends_at(self) -> float:
        return min(self._last_at + QUIET_SECONDS, self._first_at + STORM_SECONDS)

    def _add(self, hint: Hint, moment: float) -> None:
        place = (hint.registry, hint.repository)
        if place not in self._tags and len(self._tags) >= _PLACES_LIMIT:
            # Those who mirror from this registry are planned as a whole.
            place = (hint.registry, "")
        if place not in self._tags:
            self._ready_at[place] = max(moment + COLLECT_SECONDS, self._quiet_until.get(place, moment))
        tags = self._tags.setdefault(place, set())
        tags.add(hint.tag if place[1] else "")
        if "" in tags or len(tags) > _TAGS_LIMIT:
            self._tags[place] = {""}
