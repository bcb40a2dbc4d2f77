"""A fleet with users of few permissions, TLS with client certificates, and a private authority."""

from __future__ import annotations

import json

import pytest

from imgsync.fleet.message_key import MessageKey
from imgsync.fleet.queues import publish
from tests.support.rabbitmq import PASSWORD

# A shared machine starts processes slowly.
pytestmark = pytest.mark.timeout(400)


def _log_in(fleet, user: str, *, password: str = "", **tls: str) -> str:
    """Write registries.yaml for *user*, with the file of its *password*; return its path."""
    settings = json.loads((fleet.lab.folder / "registries.yaml").read_text())
    login = {"username": user, "password": {"file": password or fleet.broker.password_file}}
    path = fleet.lab.folder / f"{user}.yaml"
    broker = {"url": fleet.broker.tls_url, "credentials": login, "tls": fleet.broker.tls | tls, "key": {"file": fleet.broker.password_file}}
    path.write_text(json.dumps(settings | {"broker": broker}))
    return str(path)


@pytest.mark.row("GIT-14", "GIT-17")
def test_users_of_the_page_are_enough(fleet):
    """The worker comes first and waits for the queues, which it may not declare. What is not signed does nothing."""
    fleet.push(3)
    fleet.declare()
    logs = ("--log-format", "json", "--log-level", "info")
    fleet.workers.append(fleet.lab.start("worker", "--registries", _log_in(fleet, "worker"), *logs))

    options = ("apply", "--broker", "auto", "--registries", _log_in(fleet, "coordinator"), "--metrics", "metrics.txt", *logs)

    done = fleet.lab.run(*options, timeout=180)

    assert done.code == 0, done.stderr
    fleet.assert_all_served()
    assert set(fleet.metric("imgsync_fleet_refused_messages").values()) == {0.0}
    _put_unsigned(fleet)
    fleet.declare("again")
    again = fleet.lab.run(*options, "--state", "again", timeout=180)
    assert again.code == 0, again.stderr
    fleet.assert_all_served("again")
    assert {name for name, count in fleet.metric("imgsync_fleet_refused_messages").items() if count} == {'{reason="not_signed"}'}
    assert len(again.events("message.refused")) == 4
    (ended,) = fleet.end()
    assert ended.code == 0, ended.stderr
    assert PASSWORD not in done.stderr + again.stderr + ended.stderr
    _assert_worker_can_only_answer(fleet)


def _put_unsigned(fleet) -> None:
    """Write batches and answers without the key, as who has taken over the broker could."""
    with fleet.broker.connect("coordinator") as connection:
        producer = connection.Producer(serializer=None)
        for queue in ("imgsync", "imgsync.results"):
            for headers in ({}, MessageKey(b"of another fleet").sign(b"{}")):
                publish(producer, queue, b"{}", headers=headers)


def _assert_worker_can_only_answer(fleet) -> None:
    """Not write a batch, nor read answers, nor declare, nor delete."""
    from amqp.exceptions import AccessRefused

    attempts = {
        "write a batch": lambda channel: channel.basic_publish_confirm(_message(), exchange="", routing_key="imgsync"),
        "write to the dead queue": lambda channel: channel.basic_publish_confirm(_message(), exchange="", routing_key="imgsync.dead"),
        "read answers": lambda channel: channel.basic_get("imgsync.results"),
        "declare": lambda channel: channel.queue_declare(queue="imgsync.more", durable=True, auto_delete=False),
        "take the lock": lambda channel: channel.queue_declare(queue="imgsync.coordinator", durable=False, exclusive=True, auto_delete=True),
        "delete": lambda channel: channel.queue_delete(queue="imgsync"),
        "route batches elsewhere": lambda channel: channel.queue_bind(queue="imgsync", exchange="imgsync.results", routing_key="imgsync"),
    }
    for attempt in attempts.values():
        with fleet.broker.connect("worker") as connection, pytest.raises(AccessRefused):
            attempt(connection.channel())


def _message():
    from amqp import Message

    return Message(b"{}")


@pytest.mark.parametrize("trouble", ["authority", "password", "permissions"])
def test_broker_that_refuses_ends_the_run(fleet, trouble):
    """With exit code 3 and what to do, instead of trying for ever."""
    fleet.push(1)
    fleet.declare()
    if trouble == "password":
        wrong = fleet.lab.folder / "wrong"
        wrong.write_text("not it")
        settings = _log_in(fleet, "coordinator", password=str(wrong))
    elif trouble == "authority":
        settings = _log_in(fleet, "coordinator", ca=fleet.broker.tls["cert"])
    else:
        settings = _log_in(fleet, "worker")

    done = fleet.lab.run("apply", "--broker", "auto", "--registries", settings, "--yes", timeout=90)

    assert done.code == 3, done.stderr
    assert {"authority": "certificate", "password": "Login was refused", "permissions": "imgsync.coordinator"}[trouble] in done.stderr
    assert "registries.yaml" in done.stderr
    assert not fleet.lab.source.recorded(".*")


def test_broker_that_refuses_ends_a_worker(fleet):
    """It says so in its log: Celery would end without a word."""
    fleet.push(1)
    fleet.declare()
    wrong = fleet.lab.folder / "wrong"
    wrong.write_text("not it")

    done = fleet.lab.run("worker", "--registries", _log_in(fleet, "worker", password=str(wrong)), "--log-format", "json", timeout=90)

    assert done.code == 3, done.stderr
    (event,) = done.events("broker.refused")
    assert "Login was refused" in event["reason"]
    assert "registries.yaml" in event["hint"]
