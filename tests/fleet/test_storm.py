"""Kills, restarts and frozen workers: nothing is lost, and nothing is wrong. For the night."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.fleet.conftest import running_fleet, wait_for
from tests.support import rabbitmq
from tests.support.run_imgsync import finish

pytestmark = [pytest.mark.only_nightly, pytest.mark.timeout(4 * 3600)]


@pytest.fixture
def own_fleet(lab, tmp_path: Path):
    """A fleet with a broker of its own, which may be killed."""
    broker = rabbitmq.start(tmp_path, os.getpid() + 1)
    try:
        with running_fleet(lab, broker) as made:
            yield made
    finally:
        rabbitmq.stop(broker)


@pytest.mark.parametrize("seed", range(20))
def test_killed_workers_lose_nothing(fleet, seed):
    """Five of them at random moments; each is replaced."""
    chance = random.Random(seed)
    fleet.push(20)
    fleet.declare()
    fleet.start_workers(2)
    running = fleet.lab.start("apply", *fleet.options)
    for _ in range(5):
        time.sleep(chance.uniform(0, 1.5))
        victim = fleet.workers.pop(0)
        victim.kill()
        victim.communicate()
        fleet.start_workers(1)

    assert finish(running, timeout=600).code == 0
    fleet.assert_all_served()


@pytest.mark.parametrize("seed", range(20))
def test_killed_coordinators_lose_nothing(fleet, seed):
    """The next run ends what the killed one began."""
    fleet.push(20)
    fleet.declare()
    fleet.start_workers(2)
    running = fleet.lab.start("apply", *fleet.options)
    time.sleep(random.Random(seed).uniform(0.5, 5))
    running.kill()
    running.communicate()

    assert fleet.coordinate().code == 0
    fleet.assert_all_served()


@pytest.mark.parametrize("seed", range(10))
def test_restarted_broker_loses_nothing(own_fleet, seed):
    """The run is complete at most a minute after the broker is back."""
    fleet = own_fleet
    fleet.push(40)
    fleet.declare()
    fleet.start_workers(2)
    running = fleet.lab.start("apply", *fleet.options)
    wait_for(lambda: fleet.lab.destination.recorded("PUT .*/blobs/.*"))
    time.sleep(random.Random(seed).uniform(0, 2))
    os.killpg(int((fleet.broker.folder / "pid").read_text()), signal.SIGKILL)
    rabbitmq.start(fleet.broker.folder, os.getpid() + 1)
    back = time.monotonic()

    ended = finish(running, timeout=600)

    assert ended.code == 0, ended.stderr
    assert time.monotonic() - back <= 60
    fleet.assert_all_served()


def test_frozen_worker_keeps_nothing(fleet):
    """Its batch goes to another one after missed heartbeats."""
    fleet.push(20)
    fleet.declare()
    fleet.start_workers(1)
    running = fleet.lab.start("apply", *fleet.options)
    wait_for(lambda: fleet.lab.destination.recorded("PUT .*/blobs/.*"))
    frozen: subprocess.Popen[str] = fleet.workers[0]
    frozen.send_signal(signal.SIGSTOP)
    fleet.start_workers(1)

    ended = finish(running, timeout=1200)
    frozen.send_signal(signal.SIGCONT)

    assert ended.code == 0
    fleet.assert_all_served()
