"""
Which pending changes may be carried out before the plan is whole: those that nothing still unknown can take back.

A change can be taken back by another mirror that would write the same destination (known once every mirror has selected its tags), and by
`at_least` (once so many tags are there, they stay there).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imgsync.config.model import Destination, Mirror
from imgsync.config.templates import expand_repository
from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import Repository
from imgsync.plan.mirror_plan import SelectedTags
from imgsync.plan.model import PENDING, Change

# Takes the pending changes of one source tag, all of its destinations together.
OnPending = Callable[[Sequence[Change]], None]


class ReadyChanges:
    """Tells of pending changes as soon as they are certain; `told` says whether it has. One per plan; without a listener it does nothing."""

    def __init__(self, mirrors: Sequence[Mirror], on_pending: OnPending | None) -> None:
        """Wait for the selections of *mirrors*, then tell *on_pending*."""
        self._on_pending = on_pending
        self._unselected = {mirror.name for mirror in mirrors}
        # Which source repository writes to a destination repository; None where several do, or several tags to one.
        self._writers: dict[Repository, Repository | None] = {}
        self._held: list[list[Change]] = []
        self.has_released = False

    @property
    def is_enabled(self) -> bool:
        """Return whether somebody wants to be told."""
        return self._on_pending is not None

    def add_selection(self, mirror: Mirror, found: Sequence[SelectedTags]) -> None:
        """Take note of what *mirror* selected, nothing if it could not."""
        if self._on_pending is None:
            return
        for one in found:
            for destination in mirror.destinations:
                self._note(destination, one)
        self._unselected.discard(mirror.name)
        if not self._unselected:
            held, self._held = self._held, []
            for changes in held:
                self._release(changes)

    def add_changes(self, changes: Sequence[Change]) -> None:
        """Take note of the changes of one source tag, in a mirror that has as many tags as it must."""
        pending = [change for change in changes if change.action in PENDING]
        if self._on_pending is None or not pending:
            return
        if self._unselected:
            self._held.append(pending)
        else:
            self._release(pending)

    def _note(self, destination: Destination, found: SelectedTags) -> None:
        source = found.repository.repository
        try:
            path = expand_repository(destination, source.path, relative=found.repository.relative, registry=source.registry)
        except InvalidReferenceError:
            return
        target = Repository(destination.registry, path)
        several = len(found.tags) > 1 and "{tag}" not in destination.tag
        # A second writer, be it the same repository by another mirror or another tag template, is left to the whole plan.
        self._writers[target] = None if several or target in self._writers else source

    def _release(self, changes: Sequence[Change]) -> None:
        assert self._on_pending is not None  # noqa: S101 - only called with a listener
        if all(self._writers.get(change.destination.repository) is not None for change in changes):
            self.has_released = True
            self._on_pending(changes)
