"""Show progress, and print the plan in between."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

import click

from imgsync.apply.report import Outcome
from imgsync.cli.ci_log import CILog
from imgsync.cli.results import make_plan_document, print_plan
from imgsync.cli.session import OpenLog, Session
from imgsync.config.model import Config
from imgsync.logs.stream import LogStream
from imgsync.plan.cost import count_requests
from imgsync.plan.model import Change, Plan
from imgsync.plan.safety import SafetyLimits
from imgsync.progress.counts import Counts, Work
from imgsync.progress.heartbeat import Heartbeat
from imgsync.system.dataclass import dataclass
from imgsync.system.stdio import is_utf8
from imgsync.system.terminal import can_redraw, has_colour, read_size, rewraps_lines

if TYPE_CHECKING:
    from imgsync.progress.bars import Bars


@dataclass(frozen=True, slots=True)
class ProgressDisplay:
    """A display, and the listener that it shows the counts of."""

    listener: Counts
    pause: Callable[[], AbstractContextManager[None]]


@contextlib.contextmanager
def open_display(session: Session, work: Work, *, heartbeat_seconds: float) -> Iterator[ProgressDisplay]:
    """Show bars on a terminal, else log lines."""
    counts = _make_counts(session)
    with _make_display(session, work, counts, heartbeat_seconds=heartbeat_seconds) as display:
        yield ProgressDisplay(counts, display.pause)


@contextlib.contextmanager
def open_volume_display(opened: OpenLog, *, progress: bool, heartbeat_seconds: float) -> Iterator[Counts]:
    """Show what is read of volumes, as `open_display` does."""
    counts = Counts(lambda: 0, lambda: False)
    if progress and can_redraw(sys.stderr):
        display: Bars | Heartbeat = _make_bars(opened.stream, counts, verb="Checking", noun="volume")
    else:
        display = Heartbeat(counts, opened.log, seconds=heartbeat_seconds, work=Work.VOLUMES)
    with display:
        yield counts


def open_bars(session: Session, verb: str) -> Bars:
    """Return bars that show *verb* and the requests of *session*."""
    return _make_bars(session.log_stream, _make_counts(session), verb=verb, noun="")


def _make_counts(session: Session) -> Counts:
    return Counts(lambda: sum(count for _, count in count_requests(session.registries)), lambda: session.stop.is_closed)


def _make_display(session: Session, work: Work, counts: Counts, *, heartbeat_seconds: float) -> Bars | Heartbeat:
    if not session.common.progress or not can_redraw(sys.stderr):
        return Heartbeat(counts, session.log, seconds=heartbeat_seconds, work=work)
    verb, noun = ("Checking", "image") if work is Work.VERIFY else ("Planning", "tag")
    return _make_bars(session.log_stream, counts, verb=verb, noun=noun)


def _make_bars(stream: LogStream, counts: Counts, *, verb: str, noun: str) -> Bars:
    # Imported now: only a terminal needs them.
    from imgsync.progress.bars import Bars
    from imgsync.progress.layout import Style

    style = Style(coloured=has_colour(sys.stderr), is_utf8=is_utf8(sys.stderr), rewraps=rewraps_lines())
    return Bars(counts, stream, style, find_size=partial(read_size, sys.stderr.fileno()), verb=verb, noun=noun)


class PlanPrinter:
    """Prints the plan once it is made; passes on all events."""

    def __init__(self, display: ProgressDisplay, config: Config, ci_log: CILog, *, output: str, limits: SafetyLimits) -> None:
        """Print as a table, or if the plan exceeds *limits*."""
        self._display = display
        self._counts = display.listener
        self._config = config
        self._ci_log = ci_log
        self._output = output
        self._limits = limits
        # click looks up the running command by greenlet, and the plan is made in another one.
        self._command = click.get_current_context()

    def on_plan(self, plan: Plan) -> None:
        """Print *plan*, unless stdout is for the report alone."""
        # Counted first: printing takes time, in which copies end.
        self._counts.on_plan(plan)
        if self._output == "table" or self._limits.find_problem(plan):
            with self._display.pause(), self._command.scope(cleanup=False):
                self._ci_log.end_group()
                print_plan(plan, lambda: make_plan_document(plan, self._config, explain=False), output=self._output, has_all=False)

    def on_start(self, change: Change) -> None:
        """Pass it on."""
        self._counts.on_start(change)

    def on_size(self, change: Change, size_bytes: int) -> None:
        """Pass it on."""
        self._counts.on_size(change, size_bytes)

    def on_found(self, size_bytes: int) -> None:
        """Pass it on."""
        self._counts.on_found(size_bytes)

    def on_bytes(self, change: Change, size_bytes: int) -> None:
        """Pass it on."""
        self._counts.on_bytes(change, size_bytes)

    def on_shared_bytes(self, size_bytes: int) -> None:
        """Pass it on."""
        self._counts.on_shared_bytes(size_bytes)

    def on_finish(self, outcome: Outcome) -> None:
        """Pass it on."""
        self._counts.on_finish(outcome)
