"""
The tags of one mirror as last seen, packed.

Nearly all are in step. Those that are not are apart, so that reading them does not read the others.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter

from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.kept_changes import make_key
from imgsync.plan.model import Action, Change, get_pushed_digest
from imgsync.plan.packed_changes import list_fields, make_change
from imgsync.serve.views import TagState, TagView
from imgsync.system.dataclass import dataclass
from imgsync.system.packed_map import PackedMap
from imgsync.system.sorted_runs import SortedRuns

_STATES = {state.value: state for state in TagState}
_PENDING_TEXTS = {Action.CREATE: "to copy", Action.UPDATE: "to copy again", Action.DELETE: "to delete"}


@dataclass(frozen=True, slots=True)
class SeenTag:
    """
    One destination tag, and how it stands.

    `change` is what a plan would do with it now; of a tag that is gone at the source, it keeps it, and `gone_since` and `reason` are those of its GoneTag.
    """

    change: Change
    state: TagState
    error: str = ""
    hint: str = ""
    since: str = ""

    @property
    def key(self) -> str:
        """Return its place among the tags of its mirror."""
        return make_key(self.change)

    @property
    def view(self) -> TagView:
        """Return what a reader sees of it."""
        change = self.change
        since = change.held_until or "" if self.state is TagState.HELD else self.since
        reason = self.error or change.reason or _PENDING_TEXTS.get(change.action, "")
        return TagView(str(change.source), str(change.destination), self.state, change.destination_digest or "", reason, self.hint or change.advice, since)

    @property
    def gone(self) -> GoneTag:
        """Return the tag that is gone at the source."""
        change = self.change
        return GoneTag(change.mirror, change.source, change.destination, change.destination_digest or "", change.gone_since, change.reason)


class TagTable:
    """The tags of one mirror, sorted naturally by source and destination."""

    def __init__(self, mirror: str, tags: Iterable[SeenTag] = ()) -> None:
        """Take *tags* of the mirror, in any order."""
        self._mirror = mirror
        sides = {True: _make_runs(mirror), False: _make_runs(mirror)}
        self._counts: Counter[TagState] = Counter()
        for tag in tags:
            sides[tag.state is TagState.IN_STEP].add(tag)
            self._counts[tag.state] += 1
        self._in_step, self._others = (_pack(mirror, sides[side]) for side in (True, False))

    @property
    def counts(self) -> Mapping[TagState, int]:
        """Return the number of tags by state."""
        return {state: count for state, count in self._counts.items() if count}

    def __iter__(self) -> Iterator[TagView]:
        """Yield each."""
        merged = heapq.merge(self._in_step.iter_items(), self._others.iter_items(), key=itemgetter(0))
        return (tag.view for _, tag in merged)

    def iter_in_step(self) -> Iterator[Change]:
        """Yield what is kept."""
        return (tag.change for _, tag in self._in_step.iter_items())

    def iter_others(self) -> Iterator[SeenTag]:
        """Yield the tags that are not in step."""
        return (tag for _, tag in self._others.iter_items())

    def find(self, key: str) -> SeenTag | None:
        """Return the tag with this key."""
        return self._others.find(key) or self._in_step.find(key)

    def put(self, tag: SeenTag) -> None:
        """Add *tag*, or replace the one in its place."""
        key = tag.key
        self.remove(key)
        (self._in_step if tag.state is TagState.IN_STEP else self._others)[key] = tag
        self._counts[tag.state] += 1

    def remove(self, key: str) -> None:
        """Remove the tag with this key, if there is one."""
        for side in (self._others, self._in_step):
            if (known := side.find(key)) is not None:
                del side[key]
                self._counts[known.state] -= 1


def make_in_step(change: Change) -> SeenTag:
    """Return the tag that the destination serves after *change*."""
    digest = get_pushed_digest(change) or change.destination_digest
    kept = Change(Action.KEEP, change.mirror, change.source, change.source_digest, change.destination, digest, change.media_type, change.size_bytes, "")
    return SeenTag(kept, TagState.IN_STEP)


def make_gone(tag: GoneTag) -> SeenTag:
    """Return the *tag* that is gone at the source."""
    change = Change(Action.KEEP, tag.mirror, tag.source, None, tag.destination, tag.digest or None, None, None, tag.reason, gone_since=tag.since)
    return SeenTag(change, TagState.GONE, since=tag.since or "")


def _make_runs(mirror: str) -> SortedRuns[SeenTag]:
    return SortedRuns(lambda tag: tag.key, lambda tag: _list_row("", tag)[1:], lambda *row: _make_tag(mirror, "", *row))


def _pack(mirror: str, tags: Iterable[SeenTag]) -> PackedMap[SeenTag]:
    return PackedMap((_list_row(tag.key, tag) for tag in tags), lambda *row: _make_tag(mirror, *row), _list_row)


def _list_row(key: str, tag: SeenTag) -> list[object]:
    return [key, tag.state.value, tag.error, tag.hint, tag.since, tag.change.action.value, *list_fields(tag.change)]


def _make_tag(mirror: str, _key: str, state: str, error: str, hint: str, since: str, action: str, *fields: object) -> SeenTag:
    return SeenTag(make_change(action, mirror, *fields), _STATES[state], error, hint, since)
