"""What plan, apply, copy and the others need while they run: log, registries, state and a stop, opened and closed together."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

import click

from imgsync.apply import Planning, apply_as_planned
from imgsync.cli.options import Common
from imgsync.cli.output import redaction, say_json, say_table
from imgsync.cli.state_place import state_at
from imgsync.concurrency import NativeThread, Stop, on_signals, spawn_later
from imgsync.config.model import Config, Trust
from imgsync.errors import RateLimitedError, UnsafePlanError
from imgsync.events import Log
from imgsync.limits import Limits
from imgsync.log import to_stderr
from imgsync.oci.retry import RetryDetails
from imgsync.plan.ahead import OnPending
from imgsync.plan.build import build_plan
from imgsync.plan.model import PENDING, Plan
from imgsync.progress.heartbeat import Heartbeat
from imgsync.registries import Registries
from imgsync.render.documents import plan_document, report_document
from imgsync.render.plan_table import plan_table
from imgsync.render.report_table import report_table
from imgsync.report import Report
from imgsync.state import StateStore
from imgsync.watcher import Watcher

STOPPED_EXIT = 75
CUT_EXIT = 130
_PROXY_VARIABLES = tuple(name for lower in ("https_proxy", "http_proxy", "all_proxy") for name in (lower.upper(), lower))


@dataclass(frozen=True, slots=True)
class Session:
    """One run's surroundings."""

    registries: Registries
    state: StateStore
    log: Log
    stop: Stop
    common: Common

    def plan(self, config: Config, *, refresh: bool, on_pending: OnPending | None = None) -> Plan:
        """Return the plan of *config*, and log that it was built; *on_pending* is told of what is certain before it is whole."""
        now = datetime.now(UTC)
        plan = build_plan(config, self.registries, self.state, refresh=refresh, now=now, stop=self.stop, log=self.log, on_pending=on_pending)
        self.log.info("plan.built", plan_id=plan.id, **plan.counts, error=len(plan.errors), transfer_bytes=plan.transfer_bytes, seconds=plan.seconds)
        for error in plan.errors:
            self.log.error("plan.failed", mirror=error.mirror, reference=error.reference, error=error.message, hint=error.hint)
        return plan

    def stop_in_time(self) -> None:
        """Ask for a stop once `--run-timeout` is over."""
        if self.common.run_seconds is not None:
            spawn_later(self.common.run_seconds, lambda: self.stop.request("the run's time is up"))

    def apply(self, planning: Planning, config: Config, *, limits: Limits, watcher: Watcher) -> Report:
        """Return the report of the plan that *planning* makes, applied while it is made, and log that it ended."""
        report = apply_as_planned(planning, config, self.registries, self.state, log=self.log, watcher=watcher, stop=self.stop, limits=limits)
        summary = {name: report.count(name) for name in ("copied", "kept", "failed", "refused", "deleted", "remaining")}
        self.log.info(
            "apply.finished", plan_id=report.plan_id, **summary, bytes_copied=report.total("bytes_copied"), seconds=report.seconds, exit_code=apply_exit(report)
        )
        return report

    def watcher(self, heartbeat_seconds: float) -> contextlib.AbstractContextManager[Watcher]:
        """Return bars for a terminal, else a heartbeat."""
        if self.common.progress and sys.stderr.isatty() and not os.environ.get("CI"):
            from rich.console import Console

            from imgsync.progress.bars import Bars

            return Bars(Console(stderr=True))
        return Heartbeat(self.log, seconds=heartbeat_seconds)


@contextlib.contextmanager
def open_session(trust: Trust, common: Common, *, read_only: bool) -> Iterator[Session]:
    """
    Give a session; a first signal asks it to stop in good order, a second ends the process at once.

    Raises:
        LockedError: Another run holds the state.
        StateError: The state cannot be had, or not be pushed in the end.
    """
    hidden = redaction()
    hidden.hide(entry.credentials.password.reveal() for entry in trust.registries.values() if entry.credentials is not None)
    log = to_stderr(level=common.log_level, form=common.log_format, redaction=hidden)
    stop = Stop()
    undo = on_signals(lambda: _first_signal(stop, log), _second_signal)
    thread = NativeThread()
    try:
        with Registries(
            trust,
            environ=os.environ,
            on_retry=lambda details: _log_retry(log, details),
            on_secret=hidden.hide,
            on_warning=lambda text: log.warning("credentials.unread", reason=text),
        ) as registries:
            if ignored := _ignored_proxy(trust):
                log.warning(
                    "proxy.ignored", reason=f"{ignored} is set but not used; name the proxy in registries.yaml, for each registry behind it (`proxy: URL`)"
                )
            opened = state_at(
                common.state,
                registries,
                thread=thread,
                lock_timeout_seconds=common.lock_timeout_seconds,
                log=log,
                stop=stop,
                read_only=read_only,
            )
            with opened as state:
                yield Session(registries, state, log, stop, common)
    finally:
        undo()
        thread.close()


def print_plan(plan: Plan, *, output: str, show_kept: bool = False, explain: bool = False) -> None:
    """Print *plan* to stdout."""
    if output == "json":
        say_json(plan_document(plan))
    else:
        say_table(plan_table(plan, show_kept=show_kept, explain=explain))


def print_report(report: Report, *, output: str) -> None:
    """Print *report* to stdout."""
    if output == "json":
        say_json(report_document(report))
    else:
        say_table(report_table(report))


def run_apply(session: Session, config: Config, *, output: str, refresh: bool, options: dict[str, Any]) -> int:
    """
    Plan, apply and print the report; return the exit code.

    Raises:
        UnsafePlanError: The plan holds more changes than `--max-changes`.
    """
    limits = Limits(time.monotonic(), run_seconds=session.common.run_seconds, grace_seconds=options["grace"], fail_fast=options["fail_fast"])
    most = options["max_changes"]
    # click knows the command it runs by the greenlet that runs it, and planning has one of its own.
    context = click.get_current_context()
    with session.watcher(options["heartbeat"]) as watcher:

        def planning(on_pending: OnPending) -> Plan:
            # Where the number of changes matters nothing may begin before all are known.
            plan = session.plan(config, refresh=refresh, on_pending=on_pending if most is None else None)
            refused = most is not None and len(plan.pending) > most
            if output == "table" or refused:
                with watcher.paused(), context.scope(cleanup=False):
                    print_plan(plan, output=output)
            if refused:
                raise UnsafePlanError(
                    f"the plan holds {len(plan.pending)} changes, more than --max-changes {most}; nothing was done",
                    hint="review the plan, then raise --max-changes",
                )
            return plan

        report = session.apply(planning, config, limits=limits, watcher=watcher)
    changed = any(outcome.change.action in PENDING for outcome in report.outcomes)
    if output == "json" or changed or report.count("refused") or report.errors:
        print_report(report, output=output)
    return apply_exit(report)


def apply_exit(report: Report) -> int:
    """Return the exit code that *report* amounts to."""
    if report.stopped and report.count("remaining"):
        return STOPPED_EXIT
    if report.count("failed") or report.count("refused") or report.count("remaining") or any(not error.later for error in report.errors):
        return 1
    return STOPPED_EXIT if report.errors else 0


def _ignored_proxy(trust: Trust) -> str:
    """Return the name of a variable that asks for a proxy where the trust names none: an environment is too easily somebody else's."""
    if any(entry.proxy for entry in trust.registries.values()):
        return ""
    return next((name for name in _PROXY_VARIABLES if os.environ.get(name)), "")


def _first_signal(stop: Stop, log: Log) -> None:
    log.warning("run.stopping", reason="a signal asked for it; a second one cuts")
    stop.request("a signal asked for it", grace_seconds=_grace())


def _grace() -> float:
    context = click.get_current_context(silent=True)
    grace = context.params.get("grace") if context is not None else None
    return grace if isinstance(grace, float) else 5.0


def _second_signal() -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    # At once: whatever still runs holds nothing that the next run cannot find out by itself.
    os._exit(CUT_EXIT)


def _log_retry(log: Log, details: RetryDetails) -> None:
    throttled = isinstance(details.error, RateLimitedError)
    event = "registry.throttled" if throttled else "request.retried"
    log.warning(
        event,
        operation=details.operation,
        reference=details.reference,
        attempt=details.attempt,
        wait_seconds=round(details.wait_seconds, 3),
        error=details.error.message,
    )
