"""Carry out one run of `imgsync serve`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime

import click

from imgsync.apply.end_of_run import record_end
from imgsync.apply.options import RunOptions
from imgsync.apply.run import apply_config
from imgsync.apply.time_limits import TimeLimits
from imgsync.cli.apply_run import exit_code_of, log_end
from imgsync.cli.options import CommonOptions
from imgsync.cli.plan_run import exit_code_of_plan
from imgsync.cli.session import OpenLog, Session, open_run
from imgsync.concurrency.stop import Stop
from imgsync.config.model import Config
from imgsync.errors import ImgsyncError
from imgsync.logs.logger import Logger
from imgsync.plan.build import build_plan
from imgsync.plan.cost import count_requests
from imgsync.plan.log_plan import log_plan
from imgsync.plan.model import Plan
from imgsync.plan.safety import SafetyLimits
from imgsync.progress.counts import Counts, Work
from imgsync.progress.heartbeat import Heartbeat
from imgsync.serve.declarations.follower import Declarations
from imgsync.serve.model import RunOrder, RunResult
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What all runs of a process have in common."""

    common: CommonOptions
    limits: SafetyLimits
    grace_seconds: float
    heartbeat_seconds: float


class ServeRunner:
    """Plans or applies; a run closes all that it opened."""

    def __init__(self, settings: RunSettings, opened: OpenLog, *, on_locked: Callable[[], object]) -> None:
        """
        Run with *settings*.

        *on_locked* is called while the state is locked, before anything is applied.
        """
        self._settings = settings
        self._opened = opened
        self._on_locked = on_locked
        # click looks up the running command by greenlet, and each run has one of its own.
        self._command = click.get_current_context()

    def run(self, order: RunOrder, declarations: Declarations, stop: Stop, on_start: Callable[[Counts], None]) -> RunResult:
        """
        Carry out *order*.

        Raises:
            ImgsyncError: It could not begin, such as because the state is locked.
        """
        assert declarations.config is not None  # noqa: S101 - what is in use is valid
        config = _select(declarations.config, order)
        log = _AttentiveLog(self._opened.log)
        began_at = datetime.now(UTC)
        result: RunResult | None = None
        try:
            with self._command.scope(cleanup=False), self._open(config, stop, log, read_only=not order.applies) as session:
                result = self._carry_out(session, config, order, declarations, on_start)
                result = replace(result, successes=dict(session.state.last_successes))
        except ImgsyncError as error:
            if result is None:
                raise
            # The state could not be pushed; what was done is done.
            result = replace(result, error=error.message, hint=error.advice, exit_code=error.exit_code)
        return replace(result, began_at=began_at, problem=log.degraded)

    def read_successes(self, declarations: Declarations, stop: Stop) -> Mapping[str, str]:
        """
        Return when each mirror succeeded last, as the state has it.

        Raises:
            ImgsyncError: The state cannot be read.
        """
        assert declarations.config is not None  # noqa: S101 - what is in use is valid
        with self._command.scope(cleanup=False), self._open(declarations.config, stop, self._opened.log, read_only=True) as session:
            return dict(session.state.last_successes)

    def _open(self, config: Config, stop: Stop, log: Logger, *, read_only: bool) -> AbstractContextManager[Session]:
        return open_run(config.registries, self._settings.common, replace(self._opened, log=log), stop, read_only=read_only)

    def _carry_out(self, session: Session, config: Config, order: RunOrder, declarations: Declarations, on_start: Callable[[Counts], None]) -> RunResult:
        counts = _RunCounts(session)
        on_start(counts)
        work = Work.APPLY if order.applies else Work.PLAN
        moment = datetime.now(UTC)
        with Heartbeat(counts, session.log, seconds=self._settings.heartbeat_seconds, work=work):
            context = session.make_context(counts, refresh=order.refresh, strict=order.applies, locks=declarations.locks)
            if not order.applies:
                plan = session.finish(lambda: build_plan(config, context))
                log_plan(plan, session.log)
                return RunResult(order, moment, moment, plan=plan, exit_code=exit_code_of_plan(plan))
            self._on_locked()
            limits = TimeLimits(session.began, grace_seconds=self._settings.grace_seconds)
            report = apply_config(config, context, options=RunOptions(limits, self._settings.limits), listener=counts)
        record_end(report, config, session.state, requeues=0, log=session.log)
        exit_code = exit_code_of(report)
        log_end(session, report, exit_code=exit_code)
        return RunResult(order, moment, moment, plan=counts.plan, report=report, exit_code=exit_code)


class _AttentiveLog:
    """Passes lines on, and remembers why the state is degraded."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self.degraded = ""
        self.debug, self.info, self.error = log.debug, log.info, log.error

    def warning(self, event: str, **fields: object) -> object:
        """Log something that needs attention."""
        if event == "state.degraded":
            self.degraded = str(fields.get("reason", ""))
        return self._log.warning(event, **fields)


class _RunCounts(Counts):
    """Counts the progress of a run, and keeps its plan."""

    def __init__(self, session: Session) -> None:
        super().__init__(lambda: sum(count for _, count in count_requests(session.registries)), lambda: session.stop.is_closed)
        self.plan: Plan | None = None

    def on_plan(self, plan: Plan) -> None:
        super().on_plan(plan)
        self.plan = plan


def _select(config: Config, order: RunOrder) -> Config:
    """Return the part of *config* that *order* names."""
    names = set(order.mirrors)
    # With the suspended ones, a run of all others is a complete one, which may prune.
    chosen = config.filter(lambda mirror: mirror.suspend or mirror.name in names)
    # So mirrors with schedules of their own are pruned as well. A part of a mirror is not.
    others = tuple(mirror for mirror in config.mirrors if mirror not in chosen.mirrors) if config.is_complete and not order.only else ()
    return replace(chosen, only=order.only, only_may_miss=True, is_complete=chosen.is_complete and not order.only, others=others)
