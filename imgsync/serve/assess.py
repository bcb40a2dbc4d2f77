"""Read from a run's result how mirrors and tags stand."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from datetime import datetime

from imgsync.apply.report import Outcome, Result
from imgsync.concurrency.greenlets import breathe
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.kept_changes import KeptChanges, make_key
from imgsync.plan.model import Action, Change, KeptTags, MirrorNotes, PlanError
from imgsync.serve.model import RunResult
from imgsync.serve.tags import SeenTag, TagTable, make_gone, make_in_step
from imgsync.serve.views import TagState
from imgsync.system.dataclass import dataclass
from imgsync.system.sorted_runs import iter_unknown
from imgsync.text.units import format_timestamp, parse_timestamp

_OF_ACTION = {
    Action.CREATE: TagState.PENDING,
    Action.UPDATE: TagState.PENDING,
    Action.DELETE: TagState.PENDING,
    Action.KEEP: TagState.IN_STEP,
    Action.HOLD: TagState.HELD,
    Action.REFUSE: TagState.REFUSED,
}
_OF_RESULT = {
    Result.FAILED: TagState.FAILING,
    Result.REFUSED: TagState.REFUSED,
    Result.REMAINING: TagState.PENDING,
    Result.HELD: TagState.HELD,
    Result.KEPT: TagState.IN_STEP,
}
# What applying found out stays until it is applied again.
_FOUND_BY_APPLY = {TagState.FAILING, TagState.REFUSED}


@dataclass(slots=True)
class MirrorResult:
    """
    What a run found out about one mirror.

    Attributes:
        is_part: Whether it was about a part of the mirror.
        is_whole: Whether it saw all of the mirror, so that what it did not see is not there.
        is_refused: Something was refused, which the next run will refuse too.
        has_failed: Something did not succeed that may succeed later.
    """

    mirror: str
    errors: tuple[PlanError, ...] = ()
    notes: MirrorNotes | None = None
    is_part: bool = False
    is_whole: bool = False
    is_refused: bool = False
    has_failed: bool = False
    counts: Counter[Result] = field(default_factory=Counter)


def assess_run(result: RunResult) -> dict[str, MirrorResult]:
    """Return what *result* says about each of its mirrors."""
    parts = {pattern.mirror for pattern in result.order.only if pattern.is_part}
    plan, report = result.plan, result.report
    errors: dict[str, list[PlanError]] = defaultdict(list)
    for error in result.errors:
        errors[error.mirror].append(error)
    notes = {one.mirror: one for one in plan.mirrors} if plan is not None else {}
    sums: dict[str, Counter[Result]] = defaultdict(Counter)
    for (mirror, outcome), one in report.sums.items() if report is not None else ():
        sums[mirror][outcome] += one.count
    found = {}
    for name in result.order.mirrors:
        counts = sums[name]
        found[name] = MirrorResult(
            mirror=name,
            errors=tuple(errors[name]),
            notes=replace(notes[name], steps=()) if name in notes else None,
            is_part=name in parts,
            is_whole=plan is not None and name not in parts and not errors[name],
            is_refused=bool(counts[Result.REFUSED]),
            has_failed=bool(result.error or errors[name] or counts[Result.FAILED] or counts[Result.REMAINING]),
            counts=counts,
        )
    return found


def update_table(table: TagTable, one: MirrorResult, result: RunResult) -> TagTable:
    """Return the tags of a mirror after *result*, *table* before it."""
    moment = format_timestamp(result.ended_at)
    if one.is_part:
        for tag in _iter_seen(one.mirror, result):
            if isinstance(tag, SeenTag):
                table.put(_date(tag, table, moment, result))
            else:
                table.remove(tag)
        return table
    kept = KeptChanges(one.mirror)
    found = next((some for some in result.plan.kept if some.mirror == one.mirror), None) if result.plan is not None else None
    if isinstance(found, KeptChanges):
        # The plan is not needed any more.
        kept = found
    seen = (_date(tag, table, moment, result) for tag in _iter_seen(one.mirror, result, has_kept=False) if isinstance(tag, SeenTag))
    return TagTable(one.mirror, kept, seen) if one.is_whole else _add_unseen(table, one.mirror, kept, list(seen), result)


def _add_unseen(table: TagTable, mirror: str, kept: KeptChanges, seen: list[SeenTag], result: RunResult) -> TagTable:
    """Return a table with new tags, and the unseen ones."""
    keys = {tag.key for tag in seen} | {tag for tag in _iter_seen(mirror, result, has_kept=False) if isinstance(tag, str)}
    others = [*seen, *(tag for tag in breathe(table.iter_others()) if tag.key not in keys and kept.find(tag.key) is None)]
    unseen = iter_unknown(breathe(table.iter_in_step()), map(make_key, kept), key=make_key)
    # Only then: what is read must not change.
    missed = [change for change in unseen if make_key(change) not in keys]
    kept.update(missed)
    return TagTable(mirror, kept, others)


def find_release(table: TagTable, *, after: datetime) -> datetime | None:
    """
    Return when the first held tag of *table* is released.

    A release before *after* is left out: the run that began then could not see the tag, or else it would not be held, and its retry has a pause.
    """
    if not table.counts.get(TagState.HELD):
        return None
    moments = (parse_timestamp(tag.change.held_until or "") for tag in table.iter_others() if tag.state is TagState.HELD)
    return min((moment for moment in moments if moment is not None and moment > after), default=None)


def count_results(result: RunResult) -> Mapping[str, int]:
    """Return the numbers of tags by result, or by action."""
    counts: Mapping[str, int] = {}
    if result.report is not None:
        counts = {**{one.value: result.report.count(one) for one in Result}, "errors": len(result.report.errors)}
    elif result.plan is not None:
        counts = result.plan.counts
    return {name: count for name, count in counts.items() if count}


def _iter_seen(mirror: str, result: RunResult, *, has_kept: bool = True) -> Iterator[SeenTag | str]:
    """Yield each tag that *result* saw, of deleted ones the key."""
    changes: Iterable[SeenTag | str] = ()
    kept: Iterable[KeptTags[Change]] = result.plan.kept if result.plan is not None else ()
    gone: Iterable[GoneTag] = ()
    if result.report is not None:
        changes = (_read_outcome(outcome) for outcome in breathe(result.report.outcomes) if outcome.change.mirror == mirror)
        gone = result.report.gone
    elif result.plan is not None:
        changes = (SeenTag(change, _OF_ACTION[change.action]) for change in breathe(result.plan.changes) if change.mirror == mirror)
        gone = result.plan.gone
    yield from changes
    if has_kept:
        yield from (SeenTag(change, TagState.IN_STEP) for some in kept if some.mirror == mirror for change in some)
    yield from _iter_gone(mirror, gone)


def _iter_gone(mirror: str, gone: Iterable[GoneTag]) -> Iterator[SeenTag]:
    return (make_gone(tag) for tag in gone if tag.mirror == mirror)


def _read_outcome(outcome: Outcome) -> SeenTag | str:
    if outcome.result is Result.DELETED:
        return SeenTag(outcome.change, TagState.PENDING).key
    if outcome.result is Result.COPIED:
        return make_in_step(outcome.change)
    return SeenTag(outcome.change, _OF_RESULT[outcome.result], outcome.error or "", outcome.hint)


def _date(tag: SeenTag, table: TagTable, moment: str, result: RunResult) -> SeenTag:
    """Return *tag* with what the earlier *table* knows of it."""
    if tag.state in {TagState.IN_STEP, TagState.GONE}:
        return tag
    known = table.find_other(tag.key)
    if known is None:
        return replace(tag, since=moment)
    if result.report is None and tag.state is TagState.PENDING and known.state in _FOUND_BY_APPLY and known.error:
        return replace(tag, state=known.state, error=known.error, hint=known.hint, since=known.since)
    return replace(tag, since=known.since if known.state is tag.state else moment)
