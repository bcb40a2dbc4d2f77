"""A fleet copies what one process copies, through a real RabbitMQ."""

from __future__ import annotations

import json
import signal
import uuid

import pytest

from tests.fleet.conftest import wait_for
from tests.support.run_imgsync import finish

# A shared machine starts processes slowly.
pytestmark = pytest.mark.timeout(400)
SECRET = "canary-of-a-registry-login"


def test_two_workers_send_what_one_process_sends(fleet):
    """Bytes and manifest requests are equal, and every image is served."""
    fleet.push(12)
    fleet.declare("one")
    assert fleet.lab.run("apply", "--state", "one").code == 0
    alone = _count(fleet)
    fleet.declare("two")
    fleet.start_workers(2)
    fleet.lab.source.forget()
    fleet.lab.destination.forget()

    done = fleet.coordinate("--state", "two", "--metrics", "metrics.txt")

    assert done.code == 0, done.stderr
    fleet.assert_all_served("two")
    together = _count(fleet)
    assert (together["bytes"], together["manifests"]) == (alone["bytes"], alone["manifests"])
    # Each worker asks once for each shared blob that it did not send, and whether the source has the referrers API.
    assert together["requests"] <= alone["requests"] + 2 * (3 + 2)
    workers = {event["worker"] for event in done.events("batch.answered")}
    assert len(workers) == 2
    assert set(fleet.metric("imgsync_fleet_refused_messages").values()) == {0.0}
    again = fleet.lab.run("plan", "--state", "two", "--detailed-exitcode")
    assert again.code == 0, again.stdout
    ended = fleet.end()
    assert [(one.code, one.stdout) for one in ended] == [(0, ""), (0, "")]
    assert all("Traceback" not in one.stderr for one in ended)
    assert all(len(one.events("worker.ready")) == len(one.events("worker.stopping")) == 1 for one in ended)
    sizes = {event["batch"]: (event["changes"], event["blobs"]) for one in ended for event in one.events("batch.done")}
    assert {event["batch"]: (event["changes"], event["blobs"]) for event in done.events("batch.answered")} == sizes
    assert sum(changes for changes, _ in sizes.values()) == 12


@pytest.mark.row("GIT-16")
def test_queues_hold_no_credential(fleet):
    """Read raw, with the logins of two registries in the settings."""
    fleet.push(2)
    fleet.declare()
    login = {"credentials": {"username": "robot", "password": SECRET}}
    settings = json.loads((fleet.lab.folder / "registries.yaml").read_text())
    settings["registries"][fleet.lab.destination.host] |= login
    (fleet.lab.folder / "registries.yaml").write_text(json.dumps(settings))
    running = fleet.lab.start("apply", *fleet.options)
    try:
        wait_for(lambda: fleet.broker.count(fleet.queue) > 0)
        bodies = fleet.broker.take(fleet.queue)
    finally:
        running.send_signal(signal.SIGTERM)
        ended = finish(running, timeout=120)

    assert ended.code == 75
    assert bodies
    for body in bodies:
        assert SECRET.encode() not in body
        assert b"robot" not in body
        assert json.loads(body)["format"] == "imgsync.batch/v1"


@pytest.mark.row("GIT-14")
def test_forged_messages_do_nothing_and_are_counted(fleet):
    """To workers and to the coordinator: foreign, oversized, forged, of another run, for what is not declared."""
    fleet.push(3)
    fleet.declare()
    fleet.start_workers(1)
    batch = _forge(fleet)
    undeclared = json.loads(json.dumps(batch))
    undeclared["changes"][0]["destination"] = f"{fleet.lab.destination.host}/stolen/x:v1"
    for body in (b"{}", b"not JSON", b"\xff\xfe", b"x" * (2 << 20), json.dumps(undeclared).encode(), json.dumps(batch | {"attempt": 0}).encode()):
        fleet.broker.put(fleet.queue, body)
    answer = {"format": "imgsync.outcomes/v1", "run": uuid.uuid4().hex, "batch": 1, "worker": "x", "refused": None, "outcome": {}}
    for body in (b"[]", json.dumps(answer).encode(), b"y" * (2 << 20)):
        fleet.broker.put(f"{fleet.queue}.results", body)
    wait_for(lambda: fleet.broker.count(fleet.queue) == 0)
    wait_for(lambda: fleet.broker.count(f"{fleet.queue}.dead") == 5)

    done = fleet.coordinate("--metrics", "metrics.txt")

    assert done.code == 0, done.stderr
    fleet.assert_all_served()
    assert fleet.lab.destination_registry.digest("stolen/x", "v1") is None
    refused = fleet.metric("imgsync_fleet_refused_messages")
    # Five dead ones, and three and the honest refusal of the undeclared batch as answers.
    assert sum(refused.values()) == len(done.events("message.refused")) == 9
    worker = fleet.end()[0]
    assert worker.code == 0
    assert "stolen" not in "".join(event.get("destination", "") for event in worker.logs)


@pytest.mark.row("GIT-15")
def test_poison_ends_in_the_dead_queue_and_in_the_report(fleet):
    """A batch that every worker dies of, as the broker counts."""
    fleet.push(2)
    fleet.declare()
    running = fleet.lab.start("apply", *fleet.options)
    wait_for(lambda: fleet.broker.count(fleet.queue) > 0)
    kept = _kill_by_delivery(fleet, running)

    ended = finish(running, timeout=120)

    assert ended.code == 1, ended.stderr
    assert "poison" in ended.stdout
    assert kept >= 1


def test_batch_of_a_worker_that_died_after_a_stop_is_not_awaited(fleet):
    """It is in the queue again, and nobody is left to take it."""
    fleet.push(2, base=0)
    fleet.declare()
    running = fleet.lab.start("apply", *fleet.options, "--grace", "10m")
    try:
        wait_for(lambda: fleet.broker.count(fleet.queue) == 2)
        with fleet.broker.connect() as connection:
            while connection.default_channel.basic_get(fleet.queue) is not None:
                pass
            # Once this one is gone, the coordinator has removed what waits.
            fleet.broker.put(fleet.queue, b"{}")
            wait_for(lambda: fleet.broker.count(fleet.queue) == 1)
            running.send_signal(signal.SIGTERM)
            wait_for(lambda: fleet.broker.count(fleet.queue) == 0)
    finally:
        ended = finish(running, timeout=60)

    assert ended.code == 75, ended.stderr


def test_killed_worker_loses_nothing(fleet):
    """What it had begun is delivered again, and ends once in the report."""
    fleet.push(8)
    fleet.declare()
    fleet.start_workers(2)
    running = fleet.lab.start("apply", *fleet.options)
    wait_for(lambda: fleet.lab.destination.recorded("PUT .*/blobs/uploads/.*"))
    victim = fleet.workers.pop()
    victim.kill()
    victim.communicate()

    ended = finish(running, timeout=120)

    assert ended.code == 0, ended.stderr
    fleet.assert_all_served()
    copied = [event["destination"] for event in ended.events("image.copied")]
    assert len(copied) == len(set(copied))


def test_killed_coordinator_goes_on_with_the_next_run(fleet):
    """Old batches and answers count for nothing."""
    fleet.push(8)
    fleet.declare()
    fleet.start_workers(1)
    running = fleet.lab.start("apply", *fleet.options)
    wait_for(lambda: fleet.lab.destination.recorded("PUT .*/manifests/.*"))
    running.kill()
    running.communicate()

    done = fleet.coordinate()

    assert done.code == 0, done.stderr
    fleet.assert_all_served()


@pytest.mark.row("GIT-16")
def test_login_on_the_command_line_is_refused(lab):
    """Other users of the machine can read it; the error does not repeat it."""
    lab.declare("app")
    for command in ("apply", "worker"):
        result = lab.run(command, "--broker", "amqp://user:pass-of-the-broker@127.0.0.1/")

        assert result.code == 3
        assert "pass-of-the-broker" not in result.stderr
        assert "IMGSYNC_BROKER" in result.stderr


def _count(fleet) -> dict[str, int]:
    sent = sum(one.bytes_up for one in fleet.lab.destination.recorded("(PUT|PATCH|POST) .*/blobs/"))
    requests = len(fleet.lab.destination.recorded(".*")) + len(fleet.lab.source.recorded(".*"))
    return {"bytes": sent, "manifests": len(fleet.lab.source.recorded("GET .*/manifests/")), "requests": requests}


def _forge(fleet) -> dict[str, object]:
    """Return a batch as a coordinator makes it, of a run that ended."""
    running = fleet.lab.start("apply", "--broker", fleet.broker.url, "--queue", f"{fleet.queue}x", "--state", "forged")
    try:
        wait_for(lambda: fleet.broker.count(f"{fleet.queue}x") > 0)
        return json.loads(fleet.broker.take(f"{fleet.queue}x")[0])
    finally:
        running.kill()
        running.communicate()


def _kill_by_delivery(fleet, running) -> int:
    """Take each batch and drop the connection, as a worker does that dies, until the coordinator ends."""
    deaths = 0

    def has_ended() -> bool:
        nonlocal deaths
        with fleet.broker.connect() as connection:
            deaths += connection.default_channel.basic_get(fleet.queue) is not None
        return running.poll() is not None

    wait_for(has_ended)
    return deaths
