"""
Find the mirror to which a tag belongs.

Its name goes into the record: `prune` deletes only a mirror's own tags.
"""

from __future__ import annotations

from imgsync.config.model import Config
from imgsync.plan.declaration_scope import DeclarationScope
from imgsync.plan.model import Change
from imgsync.state import Record
from imgsync.state.record import BY_HAND


class TagOwners:
    """Finds the mirror of each tag, for its record."""

    def __init__(self, config: Config) -> None:
        """Compare with the mirrors of *config*, all or some."""
        self._is_complete = config.is_complete
        self._is_by_hand = config.is_by_hand
        self._mirrors = {mirror.name: mirror for mirror in config.mirrors}
        # Made when needed: nearly all tags belong to the mirror that selects them.
        self._scopes: dict[str, DeclarationScope] = {}

    def name_pusher(self, change: Change) -> str:
        """Return to which mirror the tag belongs after the push of *change*."""
        return BY_HAND if self._is_by_hand else change.mirror

    def find(self, change: Change, record: Record | None) -> str:
        """
        Return the mirror to which the unchanged tag of *change* belongs.

        It belongs to the mirror that pushed it, or that found it first. The mirror of *change*, which selects it, takes it over if this one is no
        longer declared, such as after it got another name, or can no longer write the tag.
        """
        pusher, name = self.name_pusher(change), record.mirror if record is not None else ""
        if name in {"", pusher}:
            return pusher
        if name == BY_HAND:
            return name
        if name in self._mirrors:
            return name if self._find_scope(name).can_write(change.source, change.destination) else change.mirror
        # With --only, other mirrors are not loaded.
        return change.mirror if self._is_complete else name

    def _find_scope(self, name: str) -> DeclarationScope:
        if name not in self._scopes:
            self._scopes[name] = DeclarationScope(self._mirrors[name])
        return self._scopes[name]
