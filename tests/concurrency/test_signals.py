"""Signals: the first stops gracefully, the second ends the program at once."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from tests import switches
from tests.support.images import image
from tests.support.run_imgsync import eventually, finish, stopping
from tests.switches import Hold, Respond


@pytest.mark.row("GIT-08")
def test_cancelled_ci_job_stops_gracefully(lab, origin):
    """Within the grace period: exit 75 and a report; the next run does the rest."""
    held = Hold()
    lab.source.add(held, method="GET", target="/blobs/")
    process = lab.start("apply", "-o", "json", "--grace", "1s")
    held.reached()
    began = time.monotonic()
    process.send_signal(signal.SIGINT)

    stopped = finish(process)

    assert time.monotonic() - began < 7.5, "GitHub's patience"
    assert stopped.code == 75, stopped.stderr
    assert stopped.json["summary"]["remaining"] + stopped.json["summary"]["failed"] == 2
    assert [event["reason"] for event in stopped.events("run.stopping")] == [
        "interrupted; running copies may take 1.0s more (--grace); press Ctrl-C again to stop now"
    ]
    assert lab.served_tags("app") == []
    lab.source.clear()
    assert lab.run("apply", "-o", "json").json["summary"]["copied"] == 2


@pytest.fixture
def streaming(lab):
    """Start eight slow downloads; return a function that awaits their beginning."""
    for number in range(8):
        lab.push("app", str(number), image((lab.name, number), layers=1, layer_bytes=200_000))
    lab.declare("app", "concurrency: {images: 8}\nreferrers: false")
    lab.source.add(switches.trickle(500, seconds=0.05), method="GET", target="/blobs/")
    return lambda: eventually(lambda: len(lab.source.recorded("GET .*/blobs/")) >= 8)


@pytest.mark.row("RUN-08", "RUN-09")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signal_under_load_ends_the_run_within_its_grace(number, streaming, lab, state):
    """Nothing new starts, everything is reported and recorded (exit 75); a second run finishes."""
    process = lab.start("apply", "-o", "json", "--grace", "1s")
    streaming()
    process.send_signal(number)
    stopping(process)
    began = time.monotonic()
    ran = finish(process)
    took = time.monotonic() - began

    assert ran.code == 75, ran.stderr
    assert took < 6
    assert "Traceback" not in ran.stderr
    assert "KeyboardInterrupt" not in ran.stderr
    assert ran.json["summary"] == ran.json["summary"] | {"copied": 0, "failed": 0, "remaining": 8}
    assert lab.served_tags("app") == []
    with state() as store:
        assert len(store.remaining) == 8
    lab.source.clear()
    assert lab.run("apply").code == 0
    assert len(lab.served_tags("app")) == 8


@pytest.mark.row("RUN-09", "RUN-10")
def test_second_signal_under_load_ends_at_once_and_leaves_nothing_behind(streaming, lab, state):
    """Exit 130; no lock and no half-written file is left; a second run finishes."""
    process = lab.start("apply", "-o", "json", "--grace", "10m", "--report", "report.html")
    streaming()
    process.send_signal(signal.SIGINT)
    stopping(process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert [line for line in err.splitlines() if "run.cut_short" in line and "run it again to resume" in line]
    assert (out, "Traceback" in err) == ("", False)
    assert sorted(path.name for path in lab.folder.iterdir()) == [".imgsync", "mirrors.d", "registries.yaml"]
    with state() as store:
        assert list(store.iter_records()) == []
    lab.source.clear()
    assert lab.run("apply").code == 0
    assert len(lab.served_tags("app")) == 8


COMMANDS = {
    "plan": ["plan", "-o", "json"],
    "verify": ["verify", "-o", "json"],
    "login-check": ["login-check"],
    "list": ["list", "{source}/{name}/app"],
    "copy": ["copy", "{source}/{name}/app:1", "{destination}/m", "--grace", "0s"],
    "state pull": ["state", "pull", "{source}/{name}/state:main"],
    "state push": ["state", "push", "{source}/{name}/state:main"],
}


@pytest.fixture
def held(lab, origin):
    """Hold every request to the source; return a function that starts a command."""
    hold = Hold()
    lab.source.add(hold)

    def start(command: str, *more: str, waits: bool = True):
        words = {"source": lab.source.host, "destination": lab.destination.host, "name": lab.name}
        process = lab.start(*(word.format(**words) for word in COMMANDS[command]), *more)
        if waits:
            hold.reached()
        return process

    yield start
    hold.release()


@pytest.mark.row("RUN-17")
@pytest.mark.parametrize("command", ["plan", "login-check", "list", "copy", "state pull"])
def test_signal_ends_a_command_in_mid_request(command, held):
    """As `apply` does: exit 75, within the grace period."""
    process = held(command)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)

    ran = finish(process)

    assert ran.code == 75, ran.stderr
    assert time.monotonic() - began < 25, "timeouts.request is 30 s"
    assert "Traceback" not in ran.stderr


@pytest.mark.row("RUN-17")
@pytest.mark.parametrize("command", ["plan", "verify", "copy", "state pull", "state push"])
def test_time_limit_ends_a_command_in_mid_request(command, held):
    """`--run-timeout` counts from the start, with all that a command waits for."""
    began = time.monotonic()

    # On a busy machine the time may be up before the first request.
    ran = finish(held(command, "--run-timeout", "1s", waits=False))

    assert ran.code == 75, ran.stderr
    assert time.monotonic() - began < 25, "timeouts.request is 30 s"
    assert "Traceback" not in ran.stderr


@pytest.mark.row("RUN-10")
def test_second_signal_ends_a_command_in_mid_request(held):
    """At once, with 130."""
    process = held("state push")
    process.send_signal(signal.SIGINT)
    stopping(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)

    assert process.returncode == 130


@pytest.mark.row("RUN-17")
def test_hanging_program_is_abandoned(lab, origin):
    """A credential helper has ten seconds; a run whose time is up does not wait for them."""
    helper = lab.write("bin/docker-credential-hang", "#!/bin/sh\nexec sleep 10\n")
    helper.chmod(0o700)
    lab.write("docker/config.json", json.dumps({"credHelpers": {lab.source.host: "hang"}}))
    lab.source.add(Respond(401, headers={"WWW-Authenticate": "Basic"}))
    began = time.monotonic()

    ran = lab.run("plan", "--run-timeout", "1s", env={"PATH": f"{helper.parent}:{os.environ['PATH']}"})

    assert ran.code == 75, ran.stderr
    assert time.monotonic() - began < 9
