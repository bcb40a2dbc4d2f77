"""
Combine the outcomes of all shards into one report.

An outcome comes from another job. It can say how a change of the plan ended, and nothing else: other changes, digests that the plan does not push and
changes of other shards are refused. Pure: no I/O.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from imgsync.apply.packed_outcomes import pack_outcomes
from imgsync.apply.report import UNCHANGED, Outcome, Report, Result, add_shared, make_unchanged_outcome
from imgsync.apply.shard_outcome import FoundBlobs, RecordFacts, ShardOutcome
from imgsync.errors import OutcomeError
from imgsync.oci.spec.reference import Reference
from imgsync.partition.shard import Shard
from imgsync.plan.model import COPIES, Action, Change, Plan, PlanError, get_pushed_digest
from imgsync.plan.shards import Partition
from imgsync.system.dataclass import dataclass

# How a planned change may end.
_ENDS: Mapping[Action, frozenset[Result]] = {
    Action.KEEP: frozenset({Result.KEPT}),
    Action.HOLD: frozenset({Result.HELD}),
    Action.REFUSE: frozenset({Result.REFUSED}),
    Action.DELETE: frozenset({Result.DELETED, Result.KEPT, Result.REFUSED, Result.FAILED, Result.REMAINING}),
    **dict.fromkeys(COPIES, frozenset({Result.COPIED, Result.KEPT, Result.HELD, Result.REFUSED, Result.FAILED, Result.REMAINING})),
}
_SERVED = frozenset({Result.COPIED, Result.KEPT})
# What a run that exits with 0 leaves: all else is an error, or work for the next run.
_DONE = frozenset({Result.COPIED, Result.DELETED, Result.KEPT, Result.HELD})
_AGAIN = "run the shard again"


@dataclass(frozen=True, slots=True)
class NamedOutcome:
    """The outcome of one shard, and the file it comes from."""

    name: str
    done: ShardOutcome


@dataclass(frozen=True, slots=True)
class Combined:
    """
    All shards of a plan together.

    `records` are by destination; `blobs` is what was found in destination repositories. `missing` are shards without an outcome, `idle` those of them
    that have no changes.
    """

    report: Report
    records: Mapping[str, RecordFacts]
    blobs: tuple[FoundBlobs, ...]
    missing: tuple[Shard, ...]
    idle: tuple[Shard, ...]


def combine_outcomes(plan: Plan, given: Sequence[NamedOutcome], *, plan_file: str, created_at: str) -> Combined:
    """
    Return the outcomes *given* as one; hints name *plan_file*.

    A missing shard leaves its changes for the next run, with an error.

    Raises:
        OutcomeError: They are not of one division of *plan*, a shard is there twice, or one says what the plan does not allow.
    """
    count = _find_count(given, plan_file)
    partition = Partition(plan, count)
    by_shard = _sort_by_shard(plan, partition, given, plan_file)
    found: dict[Reference, Outcome] = {}
    _check_names(plan, partition, given)
    for one in given:
        found.update(_read_outcomes(plan, partition, one))
    _check_complete(plan, partition, by_shard, found)
    missing = tuple(shard for number in range(count) if (shard := Shard(number + 1, count)) not in by_shard)
    # The errors of the report name the others.
    idle = tuple(sorted(set(missing) - {partition.find_shard(change) for change in plan.pending}))
    done = [one.done for one in given]
    outcomes = pack_outcomes(plan.changes, (found.get(change.destination) or _settle(change, partition.find_shard(change), missing) for change in plan.changes))
    report = Report(
        plan_id=plan.id,
        outcomes=outcomes,
        errors=(*plan.errors, *_list_missing(partition, plan, missing, plan_file), *(error for one in done for error in one.errors)),
        seconds=max((one.seconds for one in done), default=0.0),
        stopped="; ".join(f"shard {one.shard}: {one.stopped}" for one in done if one.stopped),
        notes=(*(f"no outcome of shard {shard} was given" for shard in idle), *dict.fromkeys(note for one in done for note in one.notes)),
        created_at=created_at,
        shared=add_shared(one for shard in done for one in shard.shared),
    )
    records = {destination: facts for one in done for destination, facts in one.records.items()}
    return Combined(report, records, tuple(blobs for one in done for blobs in one.blobs), missing, idle)


def _find_count(given: Sequence[NamedOutcome], plan_file: str) -> int:
    """Return how many shards there are."""
    counts = {one.done.shard.count: one for one in given if not one.done.shard.is_shared}
    if len(counts) > 1:
        names = " and ".join(f"{one.name} ({one.done.shard})" for one in list(counts.values())[:2])
        raise OutcomeError(f"the outcomes are of different divisions: {names}", hint="give only outcomes with the same N in `--shard I/N`")
    if not counts:
        raise OutcomeError("no outcome of a shard I/N was given, only of the phase `shared`", hint=f"run each shard: {_name_command(plan_file, 'I/N')}")
    return next(iter(counts))


def _name_command(plan_file: str, shard: object) -> str:
    """Return the command that runs *shard*."""
    return f"imgsync apply --plan {shlex.quote(plan_file)} --shard {shard} --outcome FILE"


def _sort_by_shard(plan: Plan, partition: Partition, given: Sequence[NamedOutcome], plan_file: str) -> Mapping[Shard, NamedOutcome]:
    found: dict[Shard, NamedOutcome] = {}
    for one in given:
        if one.done.plan_id != plan.id:
            hint = f"give the plan that it was made with, or run the shard again: {_name_command(plan_file, one.done.shard)}"
            raise OutcomeError(f"{one.name} is of the plan {one.done.plan_id}, not of {plan.id}", hint=hint)
        if one.done.partition != partition.fingerprint:
            raise OutcomeError(f"{one.name} is of another file of the plan {plan.id}, which divides it differently", hint="give every job the same plan file")
        known = found.setdefault(one.done.shard, one)
        if known is not one:
            raise _make_twice_error(known, one)
    return found


def _make_twice_error(known: NamedOutcome, one: NamedOutcome) -> OutcomeError:
    if known.name == one.name:
        return OutcomeError(f"{one.name} is given twice", hint="name each file once")
    return OutcomeError(f"{known.name} and {one.name} are both of shard {one.done.shard}", hint="give the outcome of its last run")


def _read_outcomes(plan: Plan, partition: Partition, one: NamedOutcome) -> Iterator[tuple[Reference, Outcome]]:
    """Yield the outcomes in one file, with the changes of the plan."""
    planned = {change.destination: change for change in plan.changes}
    seen: set[Reference] = set()
    for outcome in one.done.outcomes:
        change = planned.get(outcome.change.destination)
        problem = _find_problem(outcome, change, partition, one.done.shard)
        if problem or change is None or change.destination in seen:
            raise OutcomeError(f"{one.name} does not fit the plan: {outcome.change.destination} {problem or 'is there twice'}", hint=_AGAIN)
        seen.add(change.destination)
        yield change.destination, set_planned(outcome, change)


def _find_problem(outcome: Outcome, change: Change | None, partition: Partition, shard: Shard) -> str:
    """Return why *outcome* cannot be that of *change*, or ""."""
    if change is None:
        return "is not in it"
    if partition.find_shard(change) != shard:
        return f"is of shard {partition.find_shard(change)}, not of {shard}"
    return find_impossible(outcome, change)


def find_impossible(outcome: Outcome, change: Change) -> str:
    """Return why *change* cannot end as *outcome* says, or ""."""
    if (outcome.change.mirror, outcome.change.source) != (change.mirror, change.source):
        return "has another mirror or source there"
    ended = outcome.change.action
    if ended is not change.action and UNCHANGED.get(ended) is not outcome.result:
        return f"is {outcome.result.value} by an action {ended.value}"
    if outcome.result not in _ENDS[change.action]:
        return f"is {outcome.result.value}, which a planned {change.action.value} cannot become"
    if outcome.result in _SERVED and change.action in COPIES and outcome.digest != get_pushed_digest(change) and not _is_size_unknown(change):
        return f"serves {outcome.digest}, and the plan pushes {get_pushed_digest(change)}"
    return ""


def set_planned(outcome: Outcome, change: Change) -> Outcome:
    """Return *outcome* with *change* of the plan, as it ended."""
    ended, pushed = outcome.change, get_pushed_digest(change)
    # What is equal is shared: a large plan has a million of them.
    is_same = (ended.action, ended.reason, ended.held_until) == (change.action, change.reason, change.held_until)
    planned = change if is_same else replace(change, action=ended.action, reason=ended.reason, held_until=ended.held_until)
    return replace(outcome, change=planned, digest=pushed if outcome.digest == pushed else outcome.digest)


def _is_size_unknown(change: Change) -> bool:
    """Return whether the plan could not read the image."""
    return change.size_bytes is None


def _check_names(plan: Plan, partition: Partition, given: Sequence[NamedOutcome]) -> None:
    """Check the names of mirrors and repositories in outcomes."""
    owners = {str(change.destination.repository): partition.find_shard(change) for change in plan.copies}
    mirrors = {change.mirror for change in plan.changes}
    for one in given:
        for mirror in (*(shared.mirror for shared in one.done.shared), *(error.mirror for error in one.done.errors)):
            if mirror not in mirrors:
                raise OutcomeError(f"{one.name} does not fit the plan: it has no changes of a mirror {mirror}", hint=_AGAIN)
        _check_blobs(partition, one, owners)


def _check_blobs(partition: Partition, one: NamedOutcome, owners: Mapping[str, Shard]) -> None:
    """Check that the shard copies to the repositories whose blobs it names."""
    # A home may be a repository of another shard. There, a shard finds nothing but the blobs that it copies first.
    homes: dict[str, set[str]] = {}
    for home in partition.list_blobs(one.done.shard):
        homes.setdefault(str(home.repository), set()).add(home.blob.digest)
    for blobs in one.done.blobs:
        if owners.get(blobs.repository) != one.done.shard and not {*blobs.found, *blobs.missing} <= homes.get(blobs.repository, set()):
            problem = f"shard {one.done.shard} does not copy these blobs to {blobs.repository}"
            raise OutcomeError(f"{one.name} does not fit the plan: {problem}", hint=_AGAIN)


def _check_complete(plan: Plan, partition: Partition, given: Mapping[Shard, NamedOutcome], found: Mapping[Reference, Outcome]) -> None:
    """Check that exit code 0 means that all is done."""
    for change in plan.pending:
        one, outcome = given.get(partition.find_shard(change)), found.get(change.destination)
        if one is None or one.done.exit_code != 0 or (outcome is not None and outcome.result in _DONE):
            continue
        problem = "is missing in it" if outcome is None else f"is {outcome.result.value}"
        raise OutcomeError(f"{one.name} does not fit the plan: {change.destination} {problem}, although its exit code is 0", hint=_AGAIN)


def _settle(change: Change, shard: Shard, missing: Sequence[Shard]) -> Outcome:
    """Return the outcome of a change that no file mentions."""
    if change.action in UNCHANGED:
        return make_unchanged_outcome(change)
    return Outcome(change, Result.REMAINING, error=f"shard {shard} has no outcome" if shard in missing else None)


def _list_missing(partition: Partition, plan: Plan, missing: Sequence[Shard], plan_file: str) -> Iterator[PlanError]:
    """Yield an error for each mirror in a missing shard."""
    if not missing:
        return
    found = dict.fromkeys((change.mirror, shard) for change in plan.pending if (shard := partition.find_shard(change)) in missing)
    for mirror, shard in found:
        hint = f"run the shard, then combine again: {_name_command(plan_file, shard)}"
        yield PlanError(mirror, f"shard {shard}", f"no outcome of shard {shard} was given", hint, planned=True)
