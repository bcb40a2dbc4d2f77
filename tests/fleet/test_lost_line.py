"""Coordinator and workers outlive a line to the broker that is cut or falls silent."""

from __future__ import annotations

import signal

import pytest

from tests.fleet.conftest import wait_for
from tests.support.run_imgsync import finish
from tests.switches import Hold

# A shared machine starts processes slowly.
pytestmark = pytest.mark.timeout(400)


def test_batch_that_came_again_is_answered_once(fleet, relay):
    """The worker connects again in the middle of a batch, gets the same batch, and knows that it answered it."""
    fleet.push(1, base=0)
    fleet.declare()
    held = fleet.lab.source.add(Hold(), method="GET", target="/blobs/")
    fleet.start_workers(1, f"amqp://{relay.host}/")
    running = fleet.lab.start("apply", *fleet.options)
    held.reached(90)
    _cut(fleet, relay)
    _cut(fleet, relay)
    held.release()

    done = finish(running, timeout=120)

    assert done.code == 0, done.stderr
    fleet.assert_all_served()
    assert [one["batch"] for one in done.events("batch.answered")] == [1]
    (worker,) = fleet.end()
    assert worker.code == 0
    assert len(worker.events("broker.lost")) == 2
    assert [one["batch"] for one in worker.events("batch.done")] == [1]


def _cut(fleet, relay) -> None:
    """Cut the line, and wait until the worker has its batch again."""
    accepted = relay.accepted
    relay.cut()
    wait_for(lambda: relay.accepted > accepted and fleet.broker.count_consumers(fleet.queue) == 1 and not fleet.broker.count(fleet.queue))


def test_coordinator_ends_though_the_broker_is_silent(fleet, relay):
    """A signal is obeyed within the grace period; the next run continues."""
    fleet.push(1, base=0)
    fleet.declare()
    running = fleet.lab.start("apply", *fleet.options_for(f"amqp://{relay.host}/"), "--grace", "1s")
    wait_for(lambda: fleet.broker.count(fleet.queue) == 1)
    relay.fall_silent()
    running.send_signal(signal.SIGTERM)

    ended = finish(running, timeout=120)

    assert ended.code == 75, ended.stderr


def test_worker_ends_though_the_broker_is_silent(fleet, relay):
    """Celery's goodbye, which would wait without end, is cut short."""
    fleet.push(1, base=0)
    fleet.declare()
    fleet.start_workers(1, f"amqp://{relay.host}/")
    relay.fall_silent()

    (ended,) = fleet.end()

    assert ended.code == 130, ended.stderr
