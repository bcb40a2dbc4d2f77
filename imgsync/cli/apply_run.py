"""Run `apply` and `copy`: apply, print, write files, requeue."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imgsync.apply.end_of_run import record_end
from imgsync.apply.options import RunOptions
from imgsync.apply.report import Report, Result
from imgsync.apply.run import apply_config
from imgsync.apply.time_limits import TimeLimits
from imgsync.cli.progress_display import PlanPrinter, ProgressDisplay, open_display
from imgsync.cli.report_files import write_report_files
from imgsync.cli.results import check_writable, print_report
from imgsync.cli.session import STOPPED_EXIT, Session
from imgsync.config.model import Config
from imgsync.errors import ImgsyncError
from imgsync.plan.model import PENDING, Plan, PlanError
from imgsync.plan.safety import SafetyLimits
from imgsync.progress.counts import Work
from imgsync.render.annotations import annotate_report
from imgsync.system.terminal import has_person
from imgsync.text.units import format_timestamp

if TYPE_CHECKING:
    from imgsync.cli.fleet_run import FleetRun
    from imgsync.cli.options import ApplyOptions
    from imgsync.cli.shard_run import ShardRun
    from imgsync.lock.load_locks import Locks


def run_apply(
    session: Session,
    config: Config,
    options: ApplyOptions,
    *,
    saved: Plan | None = None,
    reads_records: bool = True,
    shard: ShardRun | None = None,
    fleet: FleetRun | None = None,
    locks: Locks | None = None,
) -> int:
    """
    Apply *config* or a *saved* plan, and return the exit code.

    Without *reads_records* the destinations are asked for tags. *shard* is set if the plan is a part of a saved one, *fleet* if workers copy, *locks*
    if they say what the sources have.

    Raises:
        UnsafePlanError: The plan exceeds `--max-changes` or `--max-bytes`.
        UsageError: A report file cannot be written, or the next run could not be requeued.
    """
    check_writable(*options.files)
    requeue = None
    if options.requeue:
        # Imported now: few runs requeue.
        from imgsync.cli.requeue_run import prepare_requeue

        # Before anything is copied: a wrong target must not surface when the run is over.
        requeue = prepare_requeue(options.requeue, session.state, limit=options.requeue_limit)
    try:
        report = _apply(session, config, options, saved=saved, reads_records=reads_records, shard=shard, fleet=fleet, locks=locks)
    except ImgsyncError as error:
        if shard is not None:
            shard.write(_report_without_plan(config, error), exit_code=error.exit_code)
        # The files of an earlier run must not be taken for those of this one.
        write_report_files(session, config, _report_without_plan(config, error), exit_code=error.exit_code, files=options.files)
        raise
    if shard is not None:
        report = shard.complete(report)
    if fleet is not None:
        report = fleet.complete(report)
    if session.load is not None:
        session.load.name_unselected((outcome.change for outcome in report.iter_outcomes()), report.errors)
    exit_code = exit_code_of(report)
    if requeue is not None and exit_code == STOPPED_EXIT:
        exit_code = requeue.start_next_run(session, config, report)
    elif shard is not None:
        shard.write(report, exit_code=exit_code)
    else:
        record_end(report, config, session.state, requeues=0, log=session.log)
    log_end(session, report, exit_code=exit_code)
    sent = None if fleet is None else fleet.sum_sent(session)
    write_report_files(session, config, report, exit_code=exit_code, files=options.files, sent=sent)
    session.ci_log.annotate(lambda: annotate_report(report, config))
    session.ci_log.end_group()
    changed = any(outcome.change.action in PENDING for outcome in report.outcomes)
    if options.output != "table" or changed or report.shared or report.count(Result.REFUSED) or report.errors:
        print_report(report, output=options.output, has_plan=options.output == "table")
    return exit_code


def exit_code_of(report: Report) -> int:
    """Return the exit code of a run that ended with *report*."""
    if report.stopped and report.count(Result.REMAINING):
        return STOPPED_EXIT
    if report.count(Result.FAILED) or report.count(Result.REFUSED) or report.count(Result.REMAINING) or any(not error.later for error in report.errors):
        return 1
    return STOPPED_EXIT if report.errors else 0


def log_end(session: Session, report: Report, *, exit_code: int) -> None:
    """Log what a run came to."""
    session.log.info(
        "apply.finished",
        plan_id=report.plan_id,
        **{result.value: report.count(result) for result in Result if result is not Result.HELD},
        bytes_copied=report.total("bytes_copied"),
        seconds=report.seconds,
        exit_code=exit_code,
    )


def _apply(
    session: Session,
    config: Config,
    options: ApplyOptions,
    *,
    saved: Plan | None,
    reads_records: bool,
    shard: ShardRun | None,
    fleet: FleetRun | None,
    locks: Locks | None,
) -> Report:
    with open_display(session, Work.APPLY, heartbeat_seconds=options.heartbeat_seconds) as display:
        context = session.make_context(
            display.listener,
            refresh=options.refresh,
            reads_records=reads_records,
            cache_bytes=None if fleet is None else fleet.cache_bytes,
            locks=locks,
        )
        approve = None if options.yes or saved is not None else _find_approval(session, display, options)
        if session.load is not None:
            approve = session.load.approve_after(approve)
        run_options = RunOptions(
            time_limits=TimeLimits(session.began, run_seconds=session.common.run_seconds, grace_seconds=options.grace_seconds),
            # Of a shard, the whole plan was checked.
            safety_limits=SafetyLimits(options.max_changes, options.max_bytes) if shard is None else SafetyLimits(),
            fail_fast=options.fail_fast,
            approve=approve,
            shard=shard.part if shard is not None else None,
            fleet=fleet.make_coordinator(config, context) if fleet is not None else None,
            known_blobs=session.load.known_blobs if session.load is not None else None,
        )
        listener = PlanPrinter(display, config, session.ci_log, output=options.output, limits=run_options.safety_limits)
        return apply_config(config, context, options=run_options, listener=listener, saved=saved)


def _find_approval(session: Session, display: ProgressDisplay, options: ApplyOptions) -> Callable[[Plan], None] | None:
    """Return what asks for approval, or None without a terminal."""
    if not _has_person():
        return None
    # Imported now: most runs have no terminal.
    from imgsync.cli.approval import Approval

    return Approval(session.stop, hide_display=display.pause, shows_plan=options.output == "table").ask


def _has_person() -> bool:
    """
    Return whether a person can see the plan and answer.

    The plan is on stdout, the question on stderr and the answer on stdin, so all three must be terminals.
    """
    return all(has_person(stream) for stream in (sys.stdin, sys.stdout, sys.stderr))


def _report_without_plan(config: Config, error: ImgsyncError) -> Report:
    """Return the report of a run without a plan."""
    errors = tuple(PlanError(mirror.name, mirror.source.registry, error.message, error.advice) for mirror in config.mirrors if not mirror.suspend)
    return Report(Plan(()).id, (), errors, created_at=format_timestamp(datetime.now(UTC)))
