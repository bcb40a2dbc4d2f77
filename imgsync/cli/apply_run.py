"""The course of `apply` and `copy`: a plan made or read, its brakes, its changes carried out, and the run brought to its end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from imgsync.apply.report import Report, Result
from imgsync.apply.run import apply_as_planned
from imgsync.apply.time_limits import Limits
from imgsync.cli.output import redaction
from imgsync.cli.report_files import write_report_files
from imgsync.cli.results import check_writable, plan_json, print_plan, print_report
from imgsync.cli.session import STOPPED_EXIT, Session
from imgsync.config.model import Config
from imgsync.errors import ImgsyncError, StateError, UnsafePlanError
from imgsync.plan.context import Inquiry
from imgsync.plan.model import PENDING, Action, Plan, PlanError
from imgsync.plan.ready import OnPending
from imgsync.plan.safety import SafetyLimits
from imgsync.text.units import format_timestamp

if TYPE_CHECKING:
    from imgsync.requeue import Target


@dataclass(frozen=True, slots=True)
class Requeue:
    """Whom to ask for the next run, how many were started in a row so far, and how many may be."""

    target: Target
    so_far: int
    limit: int


def run_apply(session: Session, config: Config, *, output: str, refresh: bool, options: dict[str, Any], reviewed: Plan | None = None) -> int:
    """
    Plan, or take the plan that was *reviewed*; apply, print the report, and return the exit code.

    Raises:
        UnsafePlanError: The plan goes past `--max-changes` or `--max-bytes`.
        UsageError: A file cannot be written, or the next run could not be started.
    """
    check_writable(options.get("report"), options.get("metrics"), options.get("junit"))
    requeue = _requeue(session, options)
    limits = Limits(session.began, run_seconds=session.common.run_seconds, grace_seconds=options["grace"], fail_fast=options["fail_fast"])
    brakes = SafetyLimits(options["max_changes"], options.get("max_bytes"))
    # click knows the command it runs by the greenlet that runs it, and planning has one of its own.
    context = click.get_current_context()
    inquiry = session.inquiry(refresh=refresh)
    with session.watcher(options["heartbeat"]) as watcher:

        def planning(on_pending: OnPending) -> Plan:
            # Where the sum of the changes matters, nothing may begin before all are known.
            at_once = None if brakes.any else on_pending
            plan = _planned(session, config, inquiry, reviewed=reviewed, on_pending=at_once)
            problem = brakes.problem(plan)
            if output == "table" or problem:
                with watcher.paused(), context.scope(cleanup=False):
                    print_plan(plan, lambda: plan_json(plan, config, explain=False), output=output)
            if problem:
                raise UnsafePlanError(f"{problem}; nothing was done", hint="review the plan, then raise the limit")
            return plan

        try:
            report = apply_as_planned(planning, config, inquiry, watcher=watcher, limits=limits)
        except ImgsyncError as error:
            # Whoever reads the files must not take those of an earlier run for this one's.
            write_report_files(session, config, _planless(config, error), exit_code=error.exit_code, options=options)
            raise
    exit_code = _finish(session, config, report, requeue=requeue, options=options)
    changed = any(outcome.change.action in PENDING for outcome in report.outcomes)
    if output != "table" or changed or report.count(Result.REFUSED) or report.errors:
        print_report(report, output=output)
    return exit_code


def apply_exit(report: Report) -> int:
    """Return the exit code that *report* amounts to."""
    if report.stopped and report.count(Result.REMAINING):
        return STOPPED_EXIT
    if report.count(Result.FAILED) or report.count(Result.REFUSED) or report.count(Result.REMAINING) or any(not error.later for error in report.errors):
        return 1
    return STOPPED_EXIT if report.errors else 0


def _planned(session: Session, config: Config, inquiry: Inquiry, *, reviewed: Plan | None, on_pending: OnPending | None) -> Plan:
    if reviewed is None:
        return session.plan(config, inquiry, on_pending=on_pending, partial=True)
    from imgsync.plan.saved import reviewed_plan

    plan = reviewed_plan(reviewed, config, inquiry, on_pending=on_pending)
    session.log_plan(plan)
    return plan


def _requeue(session: Session, options: dict[str, Any]) -> Requeue | None:
    """Return who is asked for the next run, found out before anything is copied."""
    if not options.get("requeue"):
        return None
    from imgsync.requeue import parse_target, requeues_so_far

    target = parse_target(options["requeue"], os.environ)
    return Requeue(target, requeues_so_far(os.environ, session.state.requeues), options["requeue_limit"])


def _finish(session: Session, config: Config, report: Report, *, requeue: Requeue | None, options: dict[str, Any]) -> int:
    """Remember how the run ended; start the next one if work is left; log, write what was asked for, and return the exit code."""
    exit_code = apply_exit(report)
    if requeue is not None and exit_code == STOPPED_EXIT and session.stop.is_interrupted:
        session.log.warning("run.not_requeued", target=requeue.target.name, reason=session.stop.reason, hint="run it again when it may go on")
        requeue = None
    if requeue is not None and exit_code == STOPPED_EXIT:
        exit_code = _go_on(session, config, report, requeue)
    else:
        _remember_end(session, config, report, requeues=0)
    summary = {result.value: report.count(result) for result in Result if result is not Result.HELD}
    session.log.info(
        "apply.finished", plan_id=report.plan_id, **summary, bytes_copied=report.total("bytes_copied"), seconds=report.seconds, exit_code=exit_code
    )
    write_report_files(session, config, report, exit_code=exit_code, options=options)
    return exit_code


def _go_on(session: Session, config: Config, report: Report, requeue: Requeue) -> int:
    """Start the next run, which finds the state as this one leaves it; return the exit code: nobody going on with what is left is more than a stop."""
    from imgsync.requeue import NextRun, Progress, may_requeue, start_next

    decision = may_requeue(requeue.so_far, limit=requeue.limit, progress=Progress.of(report))
    _remember_end(session, config, report, requeues=decision.number if decision.allowed else 0)
    left = report.count(Result.REMAINING) + sum(error.later for error in report.errors)
    reason, hint = "" if decision.allowed else decision.reason, ""
    if decision.allowed:
        session.publish_state()
        try:
            start_next(requeue.target, NextRun(decision.number, remaining=left, plan_id=report.plan_id), on_secret=redaction().hide)
        except ImgsyncError as error:
            reason, hint = error.message, error.hint
            _remember_end(session, config, report, requeues=0)
    if reason:
        session.log.error("run.not_requeued", target=requeue.target.name, reason=reason, hint=hint)
        return 1
    session.log.info("run.requeued", target=requeue.target.name, number=decision.number, remaining=left)
    return STOPPED_EXIT


def _remember_end(session: Session, config: Config, report: Report, *, requeues: int) -> None:
    before = session.state.left
    # What is still to be deleted has no turn to keep: it is found again, and comes last in any run.
    left = [outcome.change.destination for outcome in report.outcomes if outcome.result is Result.REMAINING and outcome.change.action is not Action.DELETE]
    if report.errors or not config.whole:
        # Of what this run did not get to see, what was left stays left.
        known = {outcome.change.destination for outcome in report.outcomes}
        left += [destination for destination in before if destination not in known]
    # Who waits longest stays first, however many runs it takes.
    turn = {destination: number for number, destination in enumerate(before)}
    left.sort(key=lambda destination: turn.get(destination, len(turn)))
    bad = {outcome.change.mirror for outcome in report.outcomes if outcome.result in {Result.FAILED, Result.REFUSED, Result.REMAINING}}
    bad.update(error.mirror for error in report.errors)
    successes = [mirror.name for mirror in config.mirrors if not mirror.suspend and mirror.name not in bad]
    try:
        session.state.end_run(left=left, successes=successes, requeues=requeues, moment=format_timestamp(datetime.now(UTC)))
    except StateError as error:
        session.log.warning("state.degraded", reason=error.message)


def _planless(config: Config, error: ImgsyncError) -> Report:
    """Return the report of a run that *error* ended before there was a plan to apply."""
    errors = tuple(PlanError(mirror.name, mirror.source.registry, error.message, error.hint) for mirror in config.mirrors if not mirror.suspend)
    return Report(Plan(()).id, (), errors, created_at=format_timestamp(datetime.now(UTC)))
