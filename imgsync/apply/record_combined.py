"""
Write what all shards did into the state.

Records are made from the plan and the declarations. Of an outcome only this counts: that a change is done, when, and that blobs are there. Which source
gave a blob is not believed, so a mount still needs proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from imgsync.apply.combine import Combined
from imgsync.apply.report import Outcome, Result
from imgsync.apply.shard_outcome import RecordFacts
from imgsync.apply.state_writer import StateWriter
from imgsync.apply.tag_owner import TagOwners
from imgsync.config.model import Config
from imgsync.plan.context import PlanContext
from imgsync.plan.model import COPIES, PENDING, Action, Change, Plan, get_pushed_digest
from imgsync.state import Record
from imgsync.text.units import format_timestamp, parse_timestamp

# A failed copy has a record if only its referrers are missing.
_MADE_RECORDS = frozenset({Result.COPIED, Result.FAILED})
_UNFINISHED = frozenset({Result.FAILED, Result.REMAINING})


def record_combined(plan: Plan, combined: Combined, config: Config, context: PlanContext) -> None:
    """Write records, blobs and first sights; errors become log lines."""
    maker = RecordMaker(plan, config, context)
    writer = maker.writer
    outcomes = combined.report.outcomes
    # As a run does: what began and did not end may have changed the destination.
    unfinished = (outcome.change for outcome in outcomes if outcome.result in _UNFINISHED)
    writer.mark_unconfirmed(change for change in unfinished if not _is_applied(change, writer.record(change), plan))
    # By the action of the plan: a shard may have found the tag there already.
    copied = (outcome for change, outcome in zip(plan.changes, outcomes, strict=True) if change.action in COPIES)
    records = [record for outcome in copied if (record := maker.make(outcome, combined.records, now=context.now)) is not None]
    writer.write_found(combined.blobs, records)
    for outcome in outcomes:
        if outcome.result is Result.DELETED and (known := writer.record(outcome.change)) is not None and known.digest == outcome.change.destination_digest:
            writer.remove(outcome.change)
    # Without a source digest nothing is adopted: neither the plan nor an outcome proves what is there.
    unchanged = writer.begin_unchanged()
    for change in (outcome.change for outcome in outcomes if outcome.change.action not in PENDING):
        unchanged.add(replace(change, source_digest=None) if change.action is Action.KEEP else change, writer.record(change))
    writer.write_unchanged(unchanged)
    writer.write_gone(plan, unchanged.now)


class RecordMaker:
    """Makes records of what outcomes say is done."""

    def __init__(self, plan: Plan, config: Config, context: PlanContext) -> None:
        """Believe of outcomes what *plan* and *config* allow."""
        self._plan = plan
        self._context = context
        self._mirrors = {mirror.name: mirror for mirror in config.mirrors}
        self._owners = TagOwners(config)
        self.writer = StateWriter(self._mirrors, self._owners, context)

    def make(self, outcome: Outcome, facts: Mapping[str, RecordFacts], *, now: datetime) -> Record | None:
        """Return the record of a planned copy, None if nothing shows it."""
        pushed, fact = get_pushed_digest(outcome.change), self._find_fact(outcome, facts)
        if fact is None or pushed is None or outcome.digest != pushed:
            return None
        change, known = outcome.change, self._context.state.get(str(outcome.change.destination))
        record = Record(
            destination=str(change.destination),
            digest=pushed,
            crc32=outcome.crc32 or "",
            size_bytes=change.size_bytes or 0,
            media_type=change.media_type or "",
            source=str(change.source),
            source_digest=change.source_digest or "",
            selection=self._context.policy.describe_settings(self._mirrors[change.mirror], change.source.repository),
            applied_at=_limit_moment(fact.applied_at, self._plan, now),
            mirror=self._owners.name_pusher(change),
        )
        if outcome.result is Result.KEPT and known is not None and known.digest == pushed:
            # Recorded by another run, which pushed it or found it there.
            return replace(record, applied_at=known.applied_at, mirror=self._owners.find(change, known))
        if known is not None and known.digest != record.digest and known.applied_at > record.applied_at:
            # Another run pushed something else later: only the destination knows.
            return known.tainted
        return record if fact.confirmed and outcome.result is not Result.FAILED else record.tainted

    def _find_fact(self, outcome: Outcome, facts: Mapping[str, RecordFacts]) -> RecordFacts | None:
        change = outcome.change
        if outcome.result is Result.KEPT and not self._context.policy.list_requirements(self._mirrors[change.mirror], change.source.repository):
            # An earlier run of the shard copied it. Whether it checked the image, nothing shows.
            return RecordFacts("", confirmed=True)
        return facts.get(str(change.destination)) if outcome.result in _MADE_RECORDS else None


def _is_applied(change: Change, known: Record | None, plan: Plan) -> bool:
    """Return whether *known* is of *change*, and newer than the plan."""
    # Whatever the shard did, it can only have pushed the same.
    if known is None or known.digest != get_pushed_digest(change):
        return False
    applied, planned = parse_timestamp(known.applied_at), parse_timestamp(plan.created_at)
    return applied is not None and planned is not None and planned <= applied


def _limit_moment(text: str, plan: Plan, now: datetime) -> str:
    """Return *text* if it is between plan and now, else now."""
    moment, planned = parse_timestamp(text), parse_timestamp(plan.created_at)
    is_possible = moment is not None and planned is not None and planned <= moment <= now
    return text if is_possible else format_timestamp(now, milliseconds=True)
