"""Whose turn it is: what the last run left comes first, in its order, also while the plan is still being made. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.plan.model import Change

Together = Sequence[Change]


class Turns:
    """Holds back what is certain already until all that was left is known, or until it is told not to wait any longer. One per run."""

    def __init__(self, left: Sequence[str]) -> None:
        """Let the destinations *left* have the first turns, in this order; nothing is held back when there are none."""
        self._turn = {destination: number for number, destination in enumerate(left)}
        self._missing = set(left)
        self._holds = bool(left)
        self._waiting: list[Together] = []

    def take(self, changes: Together) -> list[Together]:
        """Return what may begin now that the *changes* of one source tag may, in order."""
        self._waiting.append(changes)
        self._missing.difference_update(change.destination for change in changes)
        return [] if self._holds and self._missing else self.open()

    def open(self) -> list[Together]:
        """Wait no longer: return what was held back, in order."""
        self._holds = False
        waiting, self._waiting = self._waiting, []
        return self.sorted(waiting)

    def sorted(self, groups: Sequence[Together]) -> list[Together]:
        """Return *groups* with what was left first, the others in the order they have."""
        last = len(self._turn)
        return sorted(groups, key=lambda changes: min(self._turn.get(change.destination, last) for change in changes))
