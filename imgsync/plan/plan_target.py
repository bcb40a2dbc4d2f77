"""Plan one destination of a tag."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imgsync.config.model import Mirror
from imgsync.images.left_out import describe_other_tag, warn_of_other_tag
from imgsync.oci.spec.digest import has_same_algorithm
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.context import PlanContext
from imgsync.plan.decide import Facts, decide
from imgsync.plan.min_age import MinimumAge
from imgsync.plan.model import COPIES, Action, Change, summarize_left_out
from imgsync.plan.refusal import REQUIRED
from imgsync.plan.source_tags import SourceTag, SourceTags
from imgsync.plan.targets import Target, Targets
from imgsync.state import Record

if TYPE_CHECKING:
    from imgsync.images.referrer_gaps import ReferrerGaps


class TargetPlanner:
    """Plans destinations of one mirror's tags."""

    def __init__(self, mirror: Mirror, context: PlanContext, sources: SourceTags, targets: Targets) -> None:
        """Read from *sources* and *targets* what the state lacks."""
        self._mirror = mirror
        self._refresh = context.refresh
        self._why_immutable = context.why_immutable
        self._policy = context.policy
        self._minimum_age = MinimumAge(mirror.tags, context.state, now=context.now)
        self._sources = sources
        self._targets = targets

    def is_settled(self, target: Target, source: Repository, listed_digest: str | None) -> bool:
        """Return whether the record of an immutable tag is enough."""
        record = target.record
        if record is None or self._refresh or listed_digest not in {None, record.source_digest}:
            return False
        return not self._policy.list_requirements(self._mirror, source) or self._has_same_settings(record, source)

    def keep(self, source: Reference, target: Target) -> Change:
        """Return the change of a settled target."""
        assert target.record is not None  # noqa: S101 - a settled target has a record
        record = target.record
        return Change(
            action=Action.KEEP,
            mirror=self._mirror.name,
            source=source,
            source_digest=record.source_digest,
            destination=target.reference,
            destination_digest=record.digest,
            media_type=record.media_type or None,
            size_bytes=record.size_bytes or None,
            reason="immutable and already mirrored",
        )

    def plan(self, tag: SourceTag, target: Target) -> Change:
        """
        Return what to do with *target*.

        Raises:
            TagMoved: The tag names another manifest.
            ImgsyncError: A registry fails.
        """
        return self._enforce_policy(self._make_change(tag, target), tag, target.record)

    def _make_change(self, tag: SourceTag, target: Target) -> Change:
        desired = self._find_desired_digest(tag, target.record)
        target = self._rename_served(tag, target, desired)
        hold = self._minimum_age.find_hold(tag.reference, tag.digest)
        gaps = self._find_referrer_gaps(tag, target, desired)
        action, reason = decide(self._collect_facts(tag, target, desired, gaps, hold_reason=hold.reason if hold else ""))
        left_out = self._describe_left_out(tag, target, gaps) if action is Action.KEEP else ()
        current = target.record if target.record is not None and target.record.digest == desired else None
        return Change(
            action=action,
            mirror=self._mirror.name,
            source=tag.reference,
            source_digest=tag.digest,
            destination=target.reference,
            destination_digest=target.served,
            media_type=tag.resolved.media_type or (current.media_type or None if current else None),
            size_bytes=current.size_bytes or None if current else None,
            reason=f"{reason}; {summarize_left_out(left_out)}" if left_out else reason,
            left_out=left_out,
            held_until=hold.until if hold and action is Action.HOLD else None,
        )

    def _describe_left_out(self, tag: SourceTag, target: Target, gaps: ReferrerGaps | None) -> tuple[str, ...]:
        """Return what a kept image lacks on purpose, and warn of it."""
        others = gaps.others if gaps is not None else ()
        tag.warnings.update(dict.fromkeys(map(warn_of_other_tag, others)))
        return (*self._targets.describe_left_out(target), *map(describe_other_tag, others))

    def _find_desired_digest(self, tag: SourceTag, record: Record | None) -> str:
        """Return the digest that the destination should serve."""
        if record is not None and record.source_digest == tag.digest and self._has_same_settings(record, tag.repository):
            return record.digest
        return tag.digest if self._mirror.platforms is None else self._sources.read_root(tag).root.digest

    def _rename_served(self, tag: SourceTag, target: Target, desired: str) -> Target:
        """Return *target* serving *desired* if both digests are of the same bytes."""
        if target.served is None or has_same_algorithm(target.served, desired) or not self._sources.read_root(tag).root.matches(target.served):
            return target
        return replace(target, served=desired, own_digest=target.served)

    def _collect_facts(self, tag: SourceTag, target: Target, desired: str, gaps: ReferrerGaps | None, *, hold_reason: str) -> Facts:
        has_record = target.record is not None and not self._refresh
        has_same_settings = target.record is not None and self._has_same_settings(target.record, tag.repository)
        return Facts(
            desired=desired,
            served=target.served,
            is_immutable=tag.is_immutable,
            is_recorded=has_record,
            has_other_settings=has_record and not has_same_settings,
            missing_referrers=gaps.missing if gaps is not None else 0,
            outdated_referrers=gaps.outdated if gaps is not None else 0,
            missing_content=self._count_missing_content(tag, target, desired),
            hold_reason=hold_reason,
            is_uncompared=self._targets.is_uncompared(target),
            why_immutable=self._why_immutable,
        )

    def _count_missing_content(self, tag: SourceTag, target: Target, desired: str) -> int:
        """Return how much the destination lacks, if it is to be asked."""
        if target.served != desired or not (self._refresh or target.is_unconfirmed):
            return 0
        return self._targets.count_missing_content(target, desired, source=tag.repository, client=self._sources.client)

    def _find_referrer_gaps(self, tag: SourceTag, target: Target, desired: str) -> ReferrerGaps | None:
        """Return which referrers the destination lacks, if it has the image."""
        is_recorded = target.record is not None and not self._refresh and self._has_same_settings(target.record, tag.repository)
        # A new index has no referrers: its digest exists only at the destination. Its platforms have.
        subject = tag.digest if desired == tag.digest else ""
        if target.served != desired or not (is_recorded or subject):
            return None
        if not is_recorded:
            return self._targets.find_referrer_gaps(target, tag.digest, self._sources.read_referrers(tag, subject))
        if not self._sources.has_moved_referrers(tag, subject, self._targets.get_referrer_note(target, tag.digest)):
            return None
        return self._targets.find_referrer_gaps(target, tag.digest, self._sources.read_all_referrers(tag))

    def _enforce_policy(self, change: Change, tag: SourceTag, record: Record | None) -> Change:
        """Refuse *change* if the image does not meet a requirement."""
        # An image recorded under the same requirements was verified when it was copied.
        is_verified = record is not None and not self._refresh and record.source_digest == tag.digest and self._has_same_settings(record, tag.repository)
        if change.action not in COPIES and (change.action is not Action.KEEP or is_verified):
            return change
        problem = self._policy.find_problem(self._mirror, self._sources.client, tag.repository, tag.digest)
        if not problem:
            return change
        kept = "; the destination keeps its image" if change.destination_digest else ""
        return replace(change, action=Action.REFUSE, reason=f"{REQUIRED}{problem}{kept}")

    def _has_same_settings(self, record: Record, source: Repository) -> bool:
        return record.selection == self._policy.describe_settings(self._mirror, source)
