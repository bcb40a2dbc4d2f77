"""
The outcomes of a run, packed.

Beside a change, an outcome is little: of most it is how many bytes were sent, and how long it took.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from operator import attrgetter
from typing import Any

from imgsync.apply.report import Outcome, Result, Sums
from imgsync.plan.model import Action, Change, get_pushed_digest
from imgsync.plan.packed_changes import PackedChanges
from imgsync.system.packed_map import PackedMap
from imgsync.system.packed_rows import PackedSequence

# What a run may change of a planned change.
_OF_CHANGE = ("action", "reason", "held_until")
_FIELDS = Outcome.__slots__[1:]
_DIGEST, _LEFT_OUT = _FIELDS.index("digest"), _FIELDS.index("left_out")
_RESULT = _FIELDS.index("result")
_list_fields = attrgetter(*(f"change.{name}" for name in _OF_CHANGE), *_FIELDS)
# Stands for the digest that the plan pushes, which is with the change.
_PUSHED = 0
_ACTIONS = {action.value: action for action in Action}
_RESULTS = {result.value: result for result in Result}
# An outcome without its change, as values of JSON.
Facts = tuple[Any, ...]


class OutcomesByDestination:
    """Collects the outcomes of a run, in any order."""

    def __init__(self) -> None:
        """Start empty."""
        self._facts: PackedMap[Facts] = PackedMap((), lambda _, *facts: facts, lambda destination, facts: (destination, *facts))

    def add(self, outcome: Outcome) -> None:
        """Add *outcome*, or replace the one of the same destination."""
        self._facts[str(outcome.change.destination)] = _list_facts(outcome)

    def find(self, change: Change) -> Outcome | None:
        """Return the outcome of *change*, if there is one."""
        facts = self._facts.find(str(change.destination))
        return None if facts is None else _make_outcome(change, facts)


class PackedOutcomes(Collection[Outcome]):
    """
    The outcomes of changes, in their order.

    `sums` are by mirror and result. Each reading makes the outcomes again.
    """

    def __init__(self, changes: PackedChanges, outcomes: Iterable[Outcome]) -> None:
        """Pack *outcomes*, one for each of *changes*."""
        self.sums: dict[tuple[str, Result], Sums] = {}
        self.changes = changes
        self._facts: PackedSequence[Facts] = PackedSequence(map(self._read, outcomes), lambda facts: facts, lambda *facts: facts)

    def __len__(self) -> int:
        """Return their number."""
        return len(self._facts)

    def __iter__(self) -> Iterator[Outcome]:
        """Yield each."""
        return map(_make_outcome, self.changes, self._facts)

    def __contains__(self, value: object) -> bool:
        """Return whether *value* is among them; reads all."""
        return any(value == one for one in self)

    def _read(self, outcome: Outcome) -> Facts:
        self.sums.setdefault((outcome.change.mirror, outcome.result), Sums()).add(outcome)
        return _list_facts(outcome)


def pack_outcomes(changes: tuple[Change, ...] | PackedChanges, outcomes: Iterable[Outcome]) -> tuple[Outcome, ...] | PackedOutcomes:
    """Return *outcomes*, one for each of *changes*, packed if these are."""
    return tuple(outcomes) if isinstance(changes, tuple) else PackedOutcomes(changes, outcomes)


def _list_facts(outcome: Outcome) -> Facts:
    facts = list(_list_fields(outcome))
    digest = len(_OF_CHANGE) + _DIGEST
    if facts[digest] is not None and facts[digest] == get_pushed_digest(outcome.change):
        facts[digest] = _PUSHED
    return tuple(facts)


def _make_outcome(change: Change, facts: Facts) -> Outcome:
    (action, reason, held_until), fields = facts[: len(_OF_CHANGE)], list(facts[len(_OF_CHANGE) :])
    if (action, reason, held_until) != (change.action, change.reason, change.held_until):
        change = replace(change, action=_ACTIONS[action], reason=reason, held_until=held_until)
    if fields[_DIGEST] == _PUSHED:
        fields[_DIGEST] = get_pushed_digest(change)
    fields[_RESULT] = _RESULTS[fields[_RESULT]]
    fields[_LEFT_OUT] = tuple(fields[_LEFT_OUT])
    return Outcome(change, *fields)
