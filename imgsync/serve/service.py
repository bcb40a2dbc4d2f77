"""
The loop of `imgsync serve`: one run at a time.

Runs begin by schedule, event, change and request.

It waits on the inbox and never polls: what comes wakes it, and at the latest it looks at the clock every 30 seconds, since that may jump.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from imgsync.concurrency.greenlets import pause, spawn
from imgsync.concurrency.stop import Stop
from imgsync.errors import ImgsyncError
from imgsync.logs.logger import Logger
from imgsync.progress.counts import Counts
from imgsync.serve.agenda import Agenda
from imgsync.serve.clock import Clock
from imgsync.serve.declarations.follower import Declarations
from imgsync.serve.declarations.watch import DeclarationWatch
from imgsync.serve.earlier_runs import EarlierRuns, ReadSuccesses
from imgsync.serve.history import History
from imgsync.serve.inbox import Inbox
from imgsync.serve.live_board import LiveBoard
from imgsync.serve.model import RunOrder, RunResult
from imgsync.serve.record_run import log_bug, record_run
from imgsync.serve.timekeeper import Timekeeper
from imgsync.serve.views import LeaseView, RunningView
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_duration

# The longest time without a look at the clock.
_LONGEST_WAIT_SECONDS = 30.0
# Between two looks at the inbox, so that a storm of events does not keep the loop busy.
_BREATH_SECONDS = 0.02
# After an error that is a bug, which may come again.
_BUG_SECONDS = 1.0
_BUG = "loop"
# How long a run may take, after its grace period, to write down what it did.
_END_SECONDS = 3.0


class Runner(Protocol):
    """Plans or applies."""

    def __call__(self, order: RunOrder, declarations: Declarations, stop: Stop, on_start: Callable[[Counts], None]) -> RunResult:
        """Carry out *order*; call *on_start* with what counts its progress."""


class LeaseHolder(Protocol):
    """Says whether this process may write."""

    @property
    def is_held(self) -> bool:
        """Return whether it may."""

    def view(self) -> LeaseView:
        """Return what a reader sees of it."""

    def guard(self, stop: Stop) -> AbstractContextManager[object]:
        """
        Let the run of *stop* write as long as this process may.

        Raises:
            StoppedError: It may not.
        """


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loop works with; `lease` is None without one."""

    agenda: Agenda
    board: LiveBoard
    inbox: Inbox
    history: History
    watch: DeclarationWatch
    run: Runner
    clock: Clock
    log: Logger
    read_successes: ReadSuccesses
    lease: LeaseHolder | None = None


class Service:
    """Runs until it is told to end."""

    def __init__(self, parts: Parts) -> None:
        """Prepare; `serve` begins."""
        self._parts = parts
        self._declarations: Declarations | None = None
        self._timekeeper = Timekeeper(parts.clock)
        self._stop: Stop | None = None
        self._ends_at: float | None = None
        self._last_look = parts.clock.monotonic()
        self._knows_earlier = False
        self._earlier = self._make_earlier()
        self.on_declarations: Callable[[Declarations], None] = lambda _: None
        """Called with each configuration that comes into use."""

    @property
    def declarations(self) -> Declarations | None:
        """Return the declarations in use, None before the first."""
        return self._declarations

    @property
    def is_ending(self) -> bool:
        """Return whether it was told to end."""
        return self._ends_at is not None

    @property
    def is_alive(self) -> bool:
        """Return whether the loop moves."""
        return self._parts.clock.monotonic() - self._last_look < 3 * _LONGEST_WAIT_SECONDS

    def serve(self) -> bool:
        """Run until `end` is called; return whether all that ran has ended."""
        parts = self._parts
        parts.watch.start()
        while not self._is_over():
            parts.inbox.wait(self._look_on())
            pause(_BREATH_SECONDS)
        parts.watch.close()
        return self._stop is None

    def end(self, grace_seconds: float) -> None:
        """Start nothing more; give the run under way *grace_seconds*."""
        self._ends_at = self._parts.clock.monotonic() + grace_seconds + _END_SECONDS
        if self._stop is not None:
            self._stop.request("interrupted", grace_seconds=grace_seconds, interrupted=True)
        self._earlier.stop(grace_seconds)
        self._parts.inbox.wake()

    def use(self, declarations: Declarations) -> None:
        """Take over *declarations*, or show what is wrong with them."""
        board, now = self._parts.board, self._parts.clock.now()
        if declarations.config is None:
            board.configuration = replace(board.configuration, errors=declarations.errors, failed_revision=declarations.revision, checked_at=now)
            self._parts.log.error("declarations.invalid", revision=declarations.revision, errors=[str(error) for error in declarations.errors])
            board.touch()
            return
        self._declarations, self._parts.watch.fault = declarations, declarations.fault
        board.configuration = replace(
            board.configuration,
            revision=declarations.revision,
            loaded_at=now,
            checked_at=board.configuration.checked_at if declarations.fault else now,
            errors=declarations.errors,
            failed_revision=declarations.failed_revision,
            fault=declarations.fault,
            warnings=declarations.config.warnings,
        )
        board.set_mirrors(declarations.config.mirrors)
        self._parts.agenda.update(declarations.config.mirrors, now, last_runs=self._earlier.add_to(self._parts.history.find_last_runs()))
        self._parts.agenda.retry_now(now)
        self._parts.log.info("declarations.loaded", revision=declarations.revision, mirrors=len(declarations.config.mirrors))
        self.on_declarations(declarations)

    def _is_over(self) -> bool:
        if self._ends_at is None:
            return False
        return self._stop is None or self._parts.clock.monotonic() > self._ends_at

    def _find_wait(self) -> float:
        parts = self._parts
        moment = parts.clock.monotonic()
        if self._ends_at is not None:
            return max(0.0, self._ends_at - moment) + _BREATH_SECONDS
        # While a run goes on, its end wakes the loop.
        wait = _LONGEST_WAIT_SECONDS if self._stop is not None or not self._may_run() else parts.agenda.find_wait(parts.clock.now(), moment)
        return min(wait, _LONGEST_WAIT_SECONDS)

    def _look_on(self) -> float:
        """Look, and return how long to wait; an error ends nothing."""
        board = self._parts.board
        try:
            self._look()
            wait = self._find_wait()
        except Exception as error:  # noqa: BLE001 - a bug must not end the service
            log_bug(self._parts.log, error)
            board.set_problem(_BUG, f"internal error: {type(error).__name__}; see `internal.error` in the log, and please report it")
            # What woke the loop may still be there.
            pause(_BUG_SECONDS)
            return _BUG_SECONDS
        board.set_problem(_BUG, "")
        return wait

    def _look(self) -> None:
        """Take what came, and start what is due."""
        parts = self._parts
        self._last_look = parts.clock.monotonic()
        self._check_clock()
        if parts.inbox.take_reload():
            parts.watch.poll_now(must_read=True)
        if parts.inbox.take_look():
            parts.watch.poll_now(must_read=False)
        self._take_declarations()
        self._check_lease()
        self._learn_earlier_runs()
        if self._stop is not None or self.is_ending or not self._may_run():
            return
        now, moment = parts.clock.now(), parts.clock.monotonic()
        parts.agenda.add_requests(parts.inbox.take_requests())
        parts.agenda.add_hints(parts.inbox.take_hints(), moment, events=parts.inbox.take_hint_count())
        order = parts.agenda.take(now, moment)
        if order is not None:
            self._start(order)

    def _check_clock(self) -> None:
        jump = self._timekeeper.find_jump()
        if not jump:
            return
        self._parts.board.clock_jumps += 1
        direction = "ahead" if jump > 0 else "back"
        self._parts.log.warning("clock.jumped", seconds=round(jump, 1), reason=f"the clock was set {direction} by {format_duration(abs(jump))}")
        if jump < 0:
            self._parts.agenda.correct(self._parts.clock.now())

    def _take_declarations(self) -> None:
        watch, board = self._parts.watch, self._parts.board
        if watch.fault != board.configuration.fault:
            board.configuration = replace(board.configuration, fault=watch.fault)
            board.touch()
            if watch.fault:
                self._parts.log.warning("declarations.unreachable", reason=watch.fault)
        found = watch.take()
        if found is not None:
            self.use(found)

    def _check_lease(self) -> None:
        lease, board = self._parts.lease, self._parts.board
        if lease is None:
            return
        view = lease.view()
        if view != board.lease:
            if view.is_held and board.lease is not None and board.lease.since != view.since:
                # Another replica may have run mirrors that were due here.
                self._earlier.stop(0.0)
                self._earlier, self._knows_earlier = self._make_earlier(), False
            board.lease = view
            board.touch()

    def _make_earlier(self) -> EarlierRuns:
        parts = self._parts
        return EarlierRuns(parts.read_successes, on_end=parts.inbox.wake, on_bug=lambda error: log_bug(parts.log, error))

    def _learn_earlier_runs(self) -> None:
        """Have the agenda know when mirrors ran in other processes."""
        declarations, earlier, board = self._declarations, self._earlier, self._parts.board
        if self._knows_earlier or declarations is None or declarations.config is None:
            return
        earlier.begin(declarations)
        if not earlier.has_ended:
            return
        self._knows_earlier = True
        board.set_successes(earlier.successes)
        board.set_problem("run", earlier.problem)
        self._parts.agenda.forget()
        self._parts.agenda.update(declarations.config.mirrors, self._parts.clock.now(), last_runs=earlier.add_to(self._parts.history.find_last_runs()))

    def _may_run(self) -> bool:
        return self._declarations is not None and self._knows_earlier and (self._parts.lease is None or self._parts.lease.is_held)

    def _start(self, order: RunOrder) -> None:
        parts = self._parts
        assert self._declarations is not None  # noqa: S101 - checked by `_may_run`
        self._stop = stop = Stop()
        began_at, declarations = parts.clock.now(), self._declarations
        parts.log.info("run.began", run=order.id, trigger=order.trigger.value, mirrors=list(order.mirrors), applies=order.applies)
        parts.board.running = RunningView(order, began_at, Counts(lambda: 0, lambda: stop.is_closed))
        parts.board.touch()

        def show(counts: Counts) -> None:
            parts.board.running = RunningView(order, began_at, counts)
            parts.board.touch()

        def work() -> None:
            result = self._run(order, declarations, stop, show, began_at)
            try:
                record_run(result, board=parts.board, agenda=parts.agenda, history=parts.history, log=parts.log)
            except Exception as error:  # noqa: BLE001 - the loop must go on
                log_bug(parts.log, error, run=order.id)
                # With a pause, or what is due would be due again at once.
                parts.agenda.finish(order, parts.clock.now(), failed=order.mirrors, releases={})
            finally:
                parts.board.running = None
                self._stop = None
                parts.board.touch()
                parts.inbox.wake()

        spawn(work)

    def _run(self, order: RunOrder, declarations: Declarations, stop: Stop, show: Callable[[Counts], None], began_at: datetime) -> RunResult:
        """Carry out *order*; an error becomes a part of the result."""
        lease = self._parts.lease
        try:
            with lease.guard(stop) if lease is not None else nullcontext():
                result = self._parts.run(order, declarations, stop, show)
        except ImgsyncError as error:
            result = RunResult(order, began_at, began_at, error=error.message, hint=error.advice, exit_code=error.exit_code)
        except Exception as error:  # noqa: BLE001 - one run must not end the service
            log_bug(self._parts.log, error, run=order.id)
            result = RunResult(order, began_at, began_at, error=f"internal error: {type(error).__name__}: {error}", exit_code=70)
        return replace(result, began_at=began_at, ended_at=self._parts.clock.now())
