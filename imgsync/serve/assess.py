"""Read from a run's result how mirrors and tags stand."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from datetime import datetime

from imgsync.apply.report import Outcome, Report, Result
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.model import Action, Change, MirrorNotes, Plan, PlanError
from imgsync.serve.model import RunResult
from imgsync.serve.tags import SeenTag, TagTable, make_gone, make_in_step
from imgsync.serve.views import TagState
from imgsync.system.dataclass import dataclass
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
    for error in _list_errors(result):
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
    seen = _iter_seen(one.mirror, result)
    if one.is_whole:
        return TagTable(one.mirror, (_date(tag, table, moment, result) for tag in seen if isinstance(tag, SeenTag)))
    for tag in seen:
        if isinstance(tag, SeenTag):
            table.put(_date(tag, table, moment, result))
        else:
            table.remove(tag)
    return table


def find_release(table: TagTable) -> datetime | None:
    """Return when the first held tag of *table* is released."""
    if not table.counts.get(TagState.HELD):
        return None
    moments = (parse_timestamp(tag.change.held_until or "") for tag in table.iter_others() if tag.state is TagState.HELD)
    return min((moment for moment in moments if moment is not None), default=None)


def count_results(result: RunResult) -> Mapping[str, int]:
    """Return the numbers of tags by result, or by action."""
    counts: Mapping[str, int] = {}
    if result.report is not None:
        counts = {one.value: result.report.count(one) for one in Result}
    elif result.plan is not None:
        counts = result.plan.counts
    return {name: count for name, count in counts.items() if count}


def _list_errors(result: RunResult) -> tuple[PlanError, ...]:
    if result.report is not None:
        return result.report.errors
    return result.plan.errors if result.plan is not None else ()


def _iter_seen(mirror: str, result: RunResult) -> Iterator[SeenTag | str]:
    """Yield each tag that *result* saw, of deleted ones the key."""
    if result.report is not None:
        yield from _iter_outcomes(mirror, result.report)
        yield from _iter_gone(mirror, result.report.gone)
    elif result.plan is not None:
        yield from _iter_planned(mirror, result.plan)
        yield from _iter_gone(mirror, result.plan.gone)


def _iter_outcomes(mirror: str, report: Report) -> Iterator[SeenTag | str]:
    for outcome in report.outcomes:
        if outcome.change.mirror == mirror:
            yield _read_outcome(outcome)
    for kept in report.kept:
        if kept.mirror == mirror:
            yield from (SeenTag(outcome.change, TagState.IN_STEP) for outcome in kept)


def _iter_planned(mirror: str, plan: Plan) -> Iterator[SeenTag]:
    for change in plan.changes:
        if change.mirror == mirror:
            yield _read_change(change)
    for kept in plan.kept:
        if kept.mirror == mirror:
            yield from (SeenTag(change, TagState.IN_STEP) for change in kept)


def _iter_gone(mirror: str, gone: Iterable[GoneTag]) -> Iterator[SeenTag]:
    return (make_gone(tag) for tag in gone if tag.mirror == mirror)


def _read_outcome(outcome: Outcome) -> SeenTag | str:
    if outcome.result is Result.DELETED:
        return SeenTag(outcome.change, TagState.PENDING).key
    if outcome.result is Result.COPIED:
        return make_in_step(outcome.change)
    return SeenTag(outcome.change, _OF_RESULT[outcome.result], outcome.error or "", outcome.hint)


def _read_change(change: Change) -> SeenTag:
    return SeenTag(change, _OF_ACTION[change.action])


def _date(tag: SeenTag, table: TagTable, moment: str, result: RunResult) -> SeenTag:
    """Return *tag* with what the earlier *table* knows of it."""
    if tag.state in {TagState.IN_STEP, TagState.GONE}:
        return tag
    known = table.find(tag.key)
    if known is None or known.state is TagState.IN_STEP:
        return replace(tag, since=moment)
    if result.report is None and tag.state is TagState.PENDING and known.state in _FOUND_BY_APPLY and known.error:
        return replace(tag, state=known.state, error=known.error, hint=known.hint, since=known.since)
    return replace(tag, since=known.since if known.state is tag.state else moment)
