"""A fleet ends in order at a signal, and at once at the next; the next run continues."""

from __future__ import annotations

import signal

import pytest

from tests.fleet.conftest import wait_for
from tests.support.run_imgsync import finish, stopping
from tests.switches import Hold

# A shared machine starts processes slowly.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def busy(fleet):
    """A fleet of one worker, whose first image is held at a layer; the coordinator, and what holds."""
    return fleet, *_start_busy(fleet, grace="10m")


def test_busy_worker_answers_before_it_ends(busy):
    """What it had begun is copied; the rest is for another worker."""
    fleet, running, held = busy
    worker = fleet.workers.pop()
    worker.send_signal(signal.SIGTERM)
    stopping(worker)
    held.release()

    ended = finish(worker, timeout=120)
    assert ended.code == 0, ended.stderr
    assert running.poll() is None
    fleet.start_workers(1)
    done = finish(running, timeout=120)
    assert done.code == 0, done.stderr
    fleet.assert_all_served()
    assert not done.events("batch.repeated")


def test_second_signal_ends_a_worker_at_once(busy):
    """Its batch goes to another worker, whatever the grace period is."""
    fleet, running, held = busy
    worker = fleet.workers.pop()
    worker.send_signal(signal.SIGTERM)
    stopping(worker)
    worker.send_signal(signal.SIGTERM)

    ended = finish(worker, timeout=120)
    held.release()
    assert ended.code == 130
    assert "run.cut_short" in ended.stderr
    fleet.start_workers(1)
    assert finish(running, timeout=120).code == 0
    fleet.assert_all_served()


def test_busy_coordinator_awaits_what_runs(busy):
    """It takes back what waits, and exits with 75; the next run copies the rest."""
    fleet, running, held = busy
    wait_for(lambda: fleet.broker.count(fleet.queue) == 1)
    running.send_signal(signal.SIGTERM)
    wait_for(lambda: fleet.broker.count(fleet.queue) == 0)
    held.release()

    ended = finish(running, timeout=120)
    assert ended.code == 75, ended.stderr
    _assert_continues(fleet)


def test_second_signal_ends_a_coordinator_at_once(busy):
    """The worker ends its batch; the answer counts for nothing in the next run."""
    fleet, running, held = busy
    running.send_signal(signal.SIGTERM)
    stopping(running)
    running.send_signal(signal.SIGINT)

    ended = finish(running, timeout=120)
    held.release()
    assert ended.code == 130
    _assert_continues(fleet)


def test_worker_that_does_not_end_in_time_is_not_awaited(fleet):
    """The coordinator exits with 75 after its grace period."""
    running, held = _start_busy(fleet, grace="0s")
    running.send_signal(signal.SIGTERM)

    ended = finish(running, timeout=120)

    held.release()
    assert ended.code == 75, ended.stderr
    _assert_continues(fleet)


def _start_busy(fleet, *, grace: str):
    """Start one worker and a coordinator; return it, and what holds the first image at a layer."""
    fleet.push(2, base=0)
    fleet.declare()
    held = fleet.lab.source.add(Hold(), method="GET", target="/blobs/")
    fleet.start_workers(1)
    running = fleet.lab.start("apply", *fleet.options, "--grace", grace)
    held.reached(90)
    return running, held


def _assert_continues(fleet) -> None:
    done = fleet.coordinate()
    assert done.code == 0, done.stderr
    fleet.assert_all_served()
