"""Coordinator and worker say at once what they wait for, and plan nothing before."""

from __future__ import annotations

import json
import signal

import pytest

from tests.support.run_imgsync import finish

# A shared machine starts processes slowly.
pytestmark = pytest.mark.timeout(400)
# Nothing listens there.
_NOWHERE = "amqp://127.0.0.1:1/"


def test_coordinator_says_that_no_broker_answers(lab):
    """With a hint, before it asks a registry; a signal ends it."""
    pytest.importorskip("celery")
    lab.declare("app")

    running = lab.start("apply", "--broker", _NOWHERE, "--log-format", "json")
    event = next(json.loads(line) for line in running.stderr if '"broker.' in line)
    running.send_signal(signal.SIGTERM)
    done = finish(running, timeout=120)

    assert done.code == 75, done.stderr
    assert event["event"] == "broker.unreachable"
    assert "refused" in event["reason"]
    assert "address" in event["hint"]
    assert "while waiting for the broker amqp://" in done.stderr
    assert not lab.source.recorded(".*")


def test_worker_says_that_no_broker_answers(lab):
    """With the same event; --drain ends it."""
    pytest.importorskip("celery")
    lab.declare("app")

    done = lab.run("worker", "--broker", _NOWHERE, "--log-format", "json", "--drain", "1s", timeout=90)

    assert done.code == 0, done.stderr
    (event,) = done.events("broker.unreachable")
    assert "address" in event["hint"]
    (ended,) = done.events("worker.stopping")
    assert "--drain" in ended["reason"]


def test_second_coordinator_says_that_it_waits(fleet):
    """For which queue and why, before it asks a registry."""
    fleet.push(1)
    fleet.declare()
    with fleet.broker.connect() as connection:
        connection.default_channel.queue_declare(queue=f"{fleet.queue}.coordinator", durable=False, exclusive=True, auto_delete=True)
        running = fleet.lab.start("apply", *fleet.options)
        line = next(line for line in running.stderr if "queue.locked" in line)
        running.send_signal(signal.SIGTERM)
        ended = finish(running, timeout=120)

    assert fleet.queue in line
    assert "another coordinator" in line
    assert ended.code == 75, ended.stderr
    assert f"while waiting for the queue {fleet.queue}, which another coordinator uses" in ended.stderr
    assert not fleet.lab.source.recorded(".*")


def test_queue_that_stays_locked_ends_the_run(fleet, monkeypatch):
    """After as long as a broker may keep it for a coordinator that is gone."""
    pytest.importorskip("kombu")
    # Imported now: the extra may be missing.
    from imgsync.errors import UsageError
    from imgsync.fleet import steady_link
    from imgsync.fleet.broker_login import BrokerLogin
    from imgsync.fleet.link import BrokerLink
    from imgsync.fleet.queues import QueueNames
    from tests.fleet.test_coordinator import Log

    monkeypatch.setattr(steady_link, "_LOCK_SECONDS", 0.0)
    link = BrokerLink(BrokerLogin(fleet.broker.url), QueueNames(fleet.queue))
    log = Log()
    steady = steady_link.SteadyLink(link, log=log, clean=str)

    with link.open(), pytest.raises(UsageError, match="another coordinator uses the queue"):
        steady.check(is_over=lambda: False)

    assert log.events == ["queue.locked"]
    # And twice in a row, without a moment in which the first still has it.
    assert steady_link.SteadyLink(link, log=log, clean=str).check(is_over=lambda: False)
    assert steady_link.SteadyLink(link, log=log, clean=str).check(is_over=lambda: False)
