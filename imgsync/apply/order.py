"""
Order changes so that those left by the last run go first.

Pure: no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imgsync.oci.spec.reference import Reference
from imgsync.plan.model import Change

# The changes of one source tag, all of its destinations together.
Group = Sequence[Change]


def group_by_source(changes: Iterable[Change]) -> list[Group]:
    """Return *changes* in groups, in the order in which these begin."""
    groups: dict[tuple[str, Reference, str | None], list[Change]] = {}
    for change in changes:
        groups.setdefault((change.mirror, change.source, change.source_digest), []).append(change)
    return list(groups.values())


class ChangeOrder:
    """
    Holds changes back until those left by the last run are known.

    While the plan is made, changes become ready one by one, in any order. One per run.
    """

    def __init__(self, left: Sequence[str]) -> None:
        """Put the destinations *left* first, in this order."""
        self._place = {destination: number for number, destination in enumerate(left)}
        self._missing = set(left)
        self._holds = bool(left)
        self._held: list[Group] = []

    def add(self, group: Group) -> list[Group]:
        """Add a ready group; return the groups that may start now."""
        self._held.append(group)
        self._missing.difference_update(str(change.destination) for change in group)
        return [] if self._holds and self._missing else self.release()

    def release(self) -> list[Group]:
        """Hold nothing back from now on; return the groups held so far."""
        self._holds = False
        held, self._held = self._held, []
        return self.sort(held)

    def sort(self, groups: Sequence[Group]) -> list[Group]:
        """Return *groups* with those left by the last run first."""
        last = len(self._place)
        return sorted(groups, key=lambda group: min(self._place.get(str(change.destination), last) for change in group))
