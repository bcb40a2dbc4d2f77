"""Start the next run when one ends with work left (`--requeue`)."""

from __future__ import annotations

import os

from imgsync.apply.end_of_run import record_end
from imgsync.apply.report import Report, Result
from imgsync.cli.output import get_redaction
from imgsync.cli.session import STOPPED_EXIT, Session
from imgsync.config.model import Config
from imgsync.errors import ImgsyncError
from imgsync.requeue import NextRun, Progress, Target, count_requeues, may_requeue, parse_target, start_next
from imgsync.state import StateStore
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Requeue:
    """How to start the next run, and the requeues so far."""

    target: Target
    so_far: int
    limit: int

    def start_next_run(self, session: Session, config: Config, report: Report) -> int:
        """
        Record the end of this run, and start the next one.

        The next run may start at once, so the state is recorded and published first. Work left that no run continues is a failure: exit 1.
        """
        if session.stop.is_interrupted:
            session.log.warning("run.not_requeued", target=self.target.name, reason=session.stop.reason, hint="run it again to continue")
            record_end(report, config, session.state, requeues=0, log=session.log)
            return STOPPED_EXIT
        decision = may_requeue(self.so_far, limit=self.limit, progress=Progress.of(report))
        record_end(report, config, session.state, requeues=decision.number if decision.allowed else 0, log=session.log)
        left = report.count(Result.REMAINING) + sum(error.later for error in report.errors)
        if not decision.allowed:
            return self._fail(session, decision.reason)
        session.publish_state()
        try:
            start_next(self.target, NextRun(decision.number, remaining=left, plan_id=report.plan_id), on_secret=get_redaction().hide)
        except ImgsyncError as error:
            record_end(report, config, session.state, requeues=0, log=session.log)
            return self._fail(session, error.message, hint=error.hint)
        session.log.info("run.requeued", target=self.target.name, number=decision.number, remaining=left)
        return STOPPED_EXIT

    def _fail(self, session: Session, reason: str, *, hint: str = "") -> int:
        session.log.error("run.not_requeued", target=self.target.name, reason=reason, hint=hint)
        return 1


def prepare_requeue(target: str, state: StateStore, *, limit: int) -> Requeue:
    """
    Return how to start the next run with *target*.

    Raises:
        UsageError: The target is unknown, or a variable that it needs is missing.
    """
    return Requeue(parse_target(target, os.environ), count_requeues(os.environ, state.requeues), limit)
