"""Show progress, and print the plan in between."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from typing import Protocol

import click

from imgsync.apply.listener import ProgressListener
from imgsync.apply.report import Outcome
from imgsync.cli.ci_log import CILog
from imgsync.cli.results import make_plan_document, print_plan
from imgsync.cli.session import Session
from imgsync.config.model import Config
from imgsync.plan.model import Change, Plan
from imgsync.plan.safety import SafetyLimits
from imgsync.progress.heartbeat import Heartbeat


class ProgressDisplay(ProgressListener, Protocol):
    """Shows the progress of a run."""

    def pause(self) -> AbstractContextManager[None]:
        """Hide the display within the block."""


def open_display(session: Session, *, heartbeat_seconds: float) -> AbstractContextManager[ProgressDisplay]:
    """Show bars on a terminal, else log lines."""
    if session.common.progress and sys.stderr.isatty() and not os.environ.get("CI"):
        from rich.console import Console

        from imgsync.progress.bars import Bars

        return Bars(Console(stderr=True))
    return Heartbeat(session.log, seconds=heartbeat_seconds)


class PlanPrinter:
    """Prints the plan once it is made; passes on the rest."""

    def __init__(self, display: ProgressDisplay, config: Config, ci_log: CILog, *, output: str, limits: SafetyLimits) -> None:
        """Print as a table, or if the plan exceeds *limits*."""
        self._display = display
        self._config = config
        self._ci_log = ci_log
        self._output = output
        self._limits = limits
        # click looks up the running command by greenlet, and the plan is made in another one.
        self._command = click.get_current_context()

    def on_plan(self, plan: Plan) -> None:
        """Print *plan*, unless stdout is for the report alone."""
        if self._output == "table" or self._limits.find_problem(plan):
            with self._display.pause(), self._command.scope(cleanup=False):
                self._ci_log.end_group()
                print_plan(plan, lambda: make_plan_document(plan, self._config, explain=False), output=self._output, has_all=False)
        self._display.on_plan(plan)

    def on_start(self, change: Change) -> None:
        """Pass it on."""
        self._display.on_start(change)

    def on_bytes(self, change: Change, size_bytes: int) -> None:
        """Pass it on."""
        self._display.on_bytes(change, size_bytes)

    def on_finish(self, outcome: Outcome) -> None:
        """Pass it on."""
        self._display.on_finish(outcome)
