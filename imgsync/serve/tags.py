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
from imgsync.plan.kept_changes import KeptChanges, make_key
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
    """
    The tags of one mirror, sorted naturally by source and destination.

    What a plan kept is taken as it is packed. What runs of parts saw later is beside it.
    """

    def __init__(self, mirror: str, kept: KeptChanges | None = None, others: Iterable[SeenTag] = ()) -> None:
        """Take what is *kept*, and *others* in any order, each tag once."""
        self._kept = KeptChanges(mirror) if kept is None else kept
        # A table is held for long; as objects, a tag takes ten times as much.
        self._kept.pack()
        self._hidden: set[str] = set()
        self._counts: Counter[TagState] = Counter({TagState.IN_STEP: len(self._kept)})
        sides = {is_in_step: _make_runs(mirror) for is_in_step in (True, False)}
        for tag in others:
            self._counts[tag.state] += 1
            sides[tag.state is TagState.IN_STEP].add(tag)
        self._added, self._others = _pack(mirror, sides[True]), _pack(mirror, sides[False])

    @property
    def counts(self) -> Mapping[TagState, int]:
        """Return the number of tags by state."""
        return {state: count for state, count in self._counts.items() if count}

    def __iter__(self) -> Iterator[TagView]:
        """Yield each."""
        in_step = ((make_key(change), SeenTag(change, TagState.IN_STEP)) for change in self.iter_in_step())
        return (tag.view for _, tag in heapq.merge(in_step, self._others.iter_items(), key=itemgetter(0)))

    def iter_in_step(self) -> Iterator[Change]:
        """Yield what is kept."""
        if not self._hidden and not self._added:
            return iter(self._kept)
        hidden = frozenset(self._hidden)
        kept = (item for item in ((make_key(change), change) for change in self._kept) if item[0] not in hidden)
        added = ((key, tag.change) for key, tag in self._added.iter_items())
        return (change for _, change in heapq.merge(kept, added, key=itemgetter(0)))

    def iter_others(self) -> Iterator[SeenTag]:
        """Yield the tags that are not in step."""
        return (tag for _, tag in self._others.iter_items())

    def find(self, key: str) -> SeenTag | None:
        """Return the tag with this key."""
        found = self._others.find(key) or self._added.find(key)
        if found is None and key not in self._hidden and (change := self._kept.find(key)) is not None:
            return SeenTag(change, TagState.IN_STEP)
        return found

    def find_other(self, key: str) -> SeenTag | None:
        """Return the tag with this key, None if it is in step."""
        return self._others.find(key)

    def put(self, tag: SeenTag) -> None:
        """Add *tag*, or replace the one in its place."""
        key = tag.key
        self.remove(key)
        (self._added if tag.state is TagState.IN_STEP else self._others)[key] = tag
        self._counts[tag.state] += 1

    def remove(self, key: str) -> None:
        """Remove the tag with this key, if there is one."""
        known = self.find(key)
        if known is None:
            return
        self._counts[known.state] -= 1
        if known.state is not TagState.IN_STEP:
            del self._others[key]
        elif key in self._added:
            del self._added[key]
        else:
            self._hidden.add(key)


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
