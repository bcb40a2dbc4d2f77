"""Collect what the state lacks about tags that need no work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from imgsync.apply.adopt import adopt_kept_tag, summarize_referrers
from imgsync.apply.tag_owner import TagOwners
from imgsync.config.model import Mirror
from imgsync.plan.context import PlanContext
from imgsync.plan.model import Action, Change
from imgsync.state import Record
from imgsync.text.units import format_timestamp

# After a change of settings, every kept tag may get another record.
_MOST = 4096


class UnchangedTags:
    """Collects what to write about kept and held tags."""

    def __init__(self, mirrors: Mapping[str, Mirror], owners: TagOwners, context: PlanContext) -> None:
        """Compare with the state of *context*."""
        self._mirrors = mirrors
        self._owners = owners
        self._context = context
        # The minimum age counts from the first run that could have copied, so we take our clock, not the time in a saved plan.
        self.now = format_timestamp(datetime.now(UTC), milliseconds=True)
        self.adopted: list[Record] = []
        self.referrers: list[tuple[str, str, str]] = []
        self.held: list[tuple[str, str, str]] = []

    def add(self, change: Change, record: Record | None) -> None:
        """Add *change*, whose record is *record*."""
        if change.action is Action.KEEP:
            owner = self._owners.find(change, record)
            adopted = adopt_kept_tag(change, record, self._mirrors[change.mirror], owner=owner, context=self._context)
            self.adopted += [adopted] if adopted is not None else []
            self.referrers += (note for note in summarize_referrers(change, self._mirrors[change.mirror], context=self._context) if self._is_new(*note))
        elif change.action is Action.HOLD:
            self.held.append((str(change.source.repository), change.source_digest or "", self.now))

    @property
    def is_full(self) -> bool:
        """Return whether so much was found that it is written now."""
        return len(self.adopted) + len(self.referrers) >= _MOST

    def clear(self) -> None:
        """Forget what was written."""
        self.adopted.clear()
        self.referrers.clear()
        self.held.clear()

    def _is_new(self, repository: str, digest: str, tags: str) -> bool:
        return self._context.state.get_referrer_tags(repository, digest) != tags
