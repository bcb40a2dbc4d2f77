"""The loop of `imgsync serve` goes on, whatever one part of it raises."""

from __future__ import annotations

import random
from contextlib import nullcontext
from datetime import timedelta

import pytest

from imgsync.concurrency.greenlets import pause
from imgsync.config.model import Config, RegistriesConfig
from imgsync.config.schedule import Schedule
from imgsync.serve import record_run, service
from imgsync.serve.agenda import Agenda
from imgsync.serve.clock import SystemClock
from imgsync.serve.declarations.folder import FolderFollower
from imgsync.serve.declarations.watch import DeclarationWatch
from imgsync.serve.history import History
from imgsync.serve.inbox import Inbox
from imgsync.serve.live_board import LiveBoard
from imgsync.serve.model import RunResult
from imgsync.serve.views import ConfigurationView, LeaseView
from tests.serve.agendas import HOUR, START, mirror


class Log:
    """Keeps the events that were logged."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def info(self, event: str, **_: object) -> None:
        self.events.append(event)

    debug = warning = error = info


class Loop:
    """A loop with one mirror, and a runner that does nothing."""

    def __init__(self, *, schedule=None, clock=None, lease=None, successes=None) -> None:
        self.inbox, self.log, self.clock = Inbox(), Log(), clock or SystemClock()
        self.agenda = Agenda(every=HOUR, only_plans=False, chance=random.Random(0), make_id=str)
        history = History(None, clean=lambda value: value, on_damaged=print)
        self.board = LiveBoard(self.agenda, history, configuration=ConfigurationView("mirrors.d"), started_at=START, only_plans=False, count_waiting=lambda: 0)
        follower = FolderFollower([], lambda *_, **__: (Config((mirror("a", schedule),), RegistriesConfig()), None))
        watch = DeclarationWatch(follower, on_poll=self.inbox.wake, on_error=print)
        self.runs: list[str] = []
        self.on_run = lambda: None
        read = lambda *_: dict(successes or {})  # noqa: E731 - read at each call
        parts = service.Parts(self.agenda, self.board, self.inbox, history, watch, self._run, self.clock, self.log, read, lease)
        self.service = service.Service(parts)
        self.service.use(follower.poll())

    def _run(self, order, *_):
        self.runs.append(f"{'apply' if order.applies else 'plan'} by {order.trigger.value}")
        self.on_run()
        return RunResult(order, START, START)

    def look(self) -> None:
        """Have it look a few times, and others run between."""
        for _ in range(4):
            self.service._look()
            pause(0.001)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.passed = timedelta()

    def now(self):
        return START + self.passed

    def monotonic(self):
        return self.passed.total_seconds()


class Lease:
    """A lease that is held, or not, as a test says."""

    def __init__(self) -> None:
        self.since = None

    @property
    def is_held(self):
        return self.since is not None

    def view(self):
        return LeaseView("imgsync", self.is_held, "", since=self.since)

    def guard(self, _):
        return nullcontext()


@pytest.fixture
def loop(monkeypatch):
    monkeypatch.setattr(service, "_BUG_SECONDS", 0.01, raising=False)
    return Loop()


def test_error_of_the_agenda_ends_nothing(loop, monkeypatch):
    """It is logged and shown until a look passes, and what waits is done then."""
    take, shown = loop.agenda.take, []

    def take_late(*moments):
        if loop.log.events.count("internal.error") < 2:
            raise ZeroDivisionError("a bug")
        shown.append(list(loop.board.problems))
        return take(*moments)

    monkeypatch.setattr(loop.agenda, "take", take_late)
    loop.on_run = lambda: loop.service.end(0.0)
    assert loop.service.serve()
    assert loop.log.events.count("internal.error") == 2
    assert "internal error" in shown[0][0]
    assert loop.runs == ["apply by start"]
    assert not loop.board.problems


def test_error_while_a_result_is_taken_over_does_not_repeat_the_run(loop, monkeypatch):
    """The mirror has its pause, as after a failure, and the loop goes on."""
    monkeypatch.setattr(record_run, "assess_run", lambda _: 1 / 0)
    loop.on_run = lambda: loop.service.end(0.0)
    assert loop.service.serve()
    assert "internal.error" in loop.log.events
    assert (loop.runs, loop.agenda.get_failures("a")) == (["apply by start"], 1)
    assert (loop.agenda.find_next_run("a") - loop.clock.now()).total_seconds() > 30


def test_replica_that_takes_over_knows_what_the_other_one_ran():
    """What was due while it stood by has run; images do not move again outside of the schedule."""
    clock, lease, successes = Clock(), Lease(), {}
    loop = Loop(schedule=Schedule(cron="17 13 * * *"), clock=clock, lease=lease, successes=successes)
    loop.look()
    assert loop.runs == []
    clock.passed = timedelta(hours=5)
    successes["a"] = "2026-03-01T13:18:00Z"
    lease.since = clock.now()
    loop.look()
    assert loop.runs == ["plan by start"]
    assert loop.board.find_mirror("a").last_success.hour == 13
    lease.since = None
    loop.look()
    clock.passed = timedelta(hours=30)
    lease.since = clock.now()
    loop.look()
    assert loop.runs == ["plan by start", "apply by start"]
