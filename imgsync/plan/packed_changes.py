"""
The changes of a plan, packed if they are many.

As objects each takes half a KiB or more; packed, some seventy bytes.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.model import Action, Change
from imgsync.system.packed_rows import PackedSequence

# As many need no packing.
_FEW = 1024
_REFERENCE = ("repository.registry", "repository.path", "tag", "digest")
# What a change is made of. References are put together again, since their text would have to be parsed.
_AFTER_DESTINATION = Change.__slots__[Change.__slots__.index("destination") + 1 :]
_LEFT_OUT = _AFTER_DESTINATION.index("left_out")
# All but action and mirror, which are the same for many.
list_fields: Callable[[Change], tuple[Any, ...]] = attrgetter(
    *(f"source.{name}" for name in _REFERENCE), "source_digest", *(f"destination.{name}" for name in _REFERENCE), *_AFTER_DESTINATION
)


class PackedChanges(PackedSequence[Change]):
    """
    Changes in the order in which they were added.

    `counts` are their numbers by mirror and action.
    """

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        """Pack *changes*."""
        self.counts: Counter[tuple[str, Action]] = Counter()
        super().__init__(changes, _list_row, make_change)

    def append(self, value: Change) -> None:
        """Add *value* as the last one."""
        self.counts[value.mirror, value.action] += 1
        super().append(value)

    def select(self, actions: Collection[Action]) -> SelectedChanges:
        """Return those with one of *actions*."""
        return SelectedChanges(self, actions)


class SelectedChanges(Collection[Change]):
    """The changes with some actions; reading passes over all."""

    def __init__(self, changes: PackedChanges, actions: Collection[Action]) -> None:
        """Select those of *changes* that have one of *actions*."""
        self._changes = changes
        self._actions = actions

    def __len__(self) -> int:
        """Return their number."""
        return sum(count for (_, action), count in self._changes.counts.items() if action in self._actions)

    def __iter__(self) -> Iterator[Change]:
        """Yield each."""
        return (change for change in self._changes if change.action in self._actions) if len(self) else iter(())

    def __contains__(self, value: object) -> bool:
        """Return whether *value* is among them; reads all."""
        return any(value == one for one in self)


def pack_changes(changes: Iterable[Change]) -> tuple[Change, ...] | PackedChanges:
    """Return *changes* in their order, packed if they are many."""
    rest = iter(changes)
    first = tuple(islice(rest, _FEW + 1))
    return first if len(first) <= _FEW else PackedChanges(chain(first, rest))


def make_change(action: str | Action, mirror: str, *fields: Any) -> Change:
    """Return the change of a row: action, mirror and `list_fields`."""
    rest = list(fields[9:])
    rest[_LEFT_OUT] = tuple(rest[_LEFT_OUT])
    return Change(_ACTIONS[action], mirror, _join_reference(*fields[:4]), fields[4], _join_reference(*fields[5:9]), *rest)


_ACTIONS = {action.value: action for action in Action}


def _list_row(change: Change) -> tuple[object, ...]:
    return change.action, change.mirror, *list_fields(change)


def _join_reference(registry: str, path: str, tag: str, digest: str) -> Reference:
    return Reference(_find_repository(registry, path), tag, digest)


@functools.lru_cache(maxsize=64)
def _find_repository(registry: str, path: str) -> Repository:
    """Return one value for all tags of a repository."""
    return Repository(registry, path)
