"""
Release pending changes before the plan is complete.

A change is released once nothing can revoke it.

Two things can revoke a change: another mirror that writes the same destination, which is known once every mirror has selected its tags; and
`at_least`, which is met once that many tags exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from imgsync.config.model import Destination, Mirror
from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import Repository
from imgsync.plan.destinations import find_repository
from imgsync.plan.mirror_plan import SelectedTags
from imgsync.plan.model import PENDING, Change

# Takes the pending changes of one source tag, all of its destinations together.
OnPending = Callable[[Sequence[Change]], None]


class ReadyChanges:
    """
    Holds pending changes until they are certain; one per plan.

    Without a callback it does nothing.
    """

    def __init__(self, mirrors: Sequence[Mirror], on_pending: OnPending | None) -> None:
        """Wait for all of *mirrors* before calling *on_pending*."""
        self._on_pending = on_pending
        self._unselected = {mirror.name for mirror in mirrors}
        # The source repository of each destination repository; None if there are several, or several tags go to one.
        self._writers: dict[Repository, Repository | None] = {}
        self._held: list[list[Change]] = []
        self.has_released = False

    @property
    def is_enabled(self) -> bool:
        """Return whether there is a callback."""
        return self._on_pending is not None

    def add_selection(self, mirror: Mirror, found: Sequence[SelectedTags]) -> None:
        """Add the selection of *mirror*, empty if selecting failed."""
        if self._on_pending is None:
            return
        for one in found:
            for destination in mirror.destinations:
                self._note_writer(destination, one)
        self._unselected.discard(mirror.name)
        if not self._unselected:
            held, self._held = self._held, []
            for changes in held:
                self._release(changes)

    def list_pending(self, changes: Iterable[Change]) -> list[list[Change]]:
        """Return the group of the pending of *changes*, none without a callback."""
        pending = [change for change in changes if change.action in PENDING]
        return [pending] if pending and self._on_pending is not None else []

    def add_all(self, groups: Iterable[list[Change]]) -> None:
        """
        Add pending changes, one group per source tag.

        Their mirror must have met `at_least`.
        """
        for pending in groups:
            if self._unselected:
                self._held.append(pending)
            else:
                self._release(pending)

    def _note_writer(self, destination: Destination, found: SelectedTags) -> None:
        source = found.repository.repository
        try:
            target = find_repository(destination, source, found.repository.relative)
        except InvalidReferenceError:
            return
        several = len(found.planned) > 1 and "{tag}" not in destination.tag
        # Two mirrors may write the same repository: hold both until the whole plan is known.
        self._writers[target] = None if several or target in self._writers else source

    def _release(self, changes: Sequence[Change]) -> None:
        assert self._on_pending is not None  # noqa: S101 - only called with a listener
        if all(self._writers.get(change.destination.repository) is not None for change in changes):
            self.has_released = True
            self._on_pending(changes)
