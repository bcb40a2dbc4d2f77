"""
Kills, restarts and frozen workers: nothing is lost, and nothing is wrong. For the night.

The watch of `tests/storms` stands before the destination: after each change of a tag it looks whether all that the tag needs is there.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.figures import record
from tests.fleet.conftest import FleetLab, running_fleet, wait_for
from tests.storms.stores import DiskStore, missing
from tests.support import rabbitmq
from tests.support.rabbitmq import Broker
from tests.support.run_imgsync import Result, finish
from tests.switches import Distance, Hold
from tests.switches.storms import Watch

pytestmark = [pytest.mark.only_nightly, pytest.mark.timeout(3600)]

_IMAGES = 30
# What RabbitMQ may take to notice that a worker is gone, and to give its batch to another one.
_REDELIVERED_SECONDS = 10
_COMPLETE_SECONDS = 60


class Sea:
    """A fleet that copies the same images to one namespace after the other, with a watch before the destination."""

    def __init__(self, fleet: FleetLab) -> None:
        """Push the images; both registries are 20 ms away, so that there is something to interrupt."""
        self._number = 0
        self.fleet = fleet
        fleet.push(_IMAGES)
        fleet.declare(self.namespace)
        self._store = DiskStore(fleet.lab.destination_registry)
        self._watch = Watch(self._store, side="destination")
        for proxy in (fleet.lab.source, fleet.lab.destination):
            proxy.add(Distance(0.02))
        fleet.lab.destination.add(self._watch)

    @property
    def namespace(self) -> str:
        """The namespace of the current run."""
        return f"m{self._number}"

    def is_at_work(self, running: subprocess.Popen[str]) -> bool:
        """Wait until the coordinator plans; return whether it did not end before."""
        wait_for(lambda: self.fleet.lab.source.seen or running.poll() is not None)
        return running.poll() is None

    def coordinate(self) -> subprocess.Popen[str]:
        """Start a coordinator for the current namespace."""
        self.fleet.lab.source.forget()
        return self.fleet.lab.start("apply", "--state", self.namespace, *self.fleet.options)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """Start a coordinator for a new namespace, and check what it came to."""
        self._number += 1
        self.fleet.declare(self.namespace)
        self._watch.needed = frozenset((f"{self.namespace}/{self.fleet.lab.name}/{name}", "v1") for name in self.fleet.images)
        running = self.coordinate()
        try:
            yield running
        finally:
            if running.poll() is None:
                running.kill()

    def check(self, ended: Result) -> None:
        """Assert that the run did everything, and nothing wrong."""
        assert "Traceback" not in ended.stderr, ended.stderr
        assert self._watch.violations == []
        assert ended.code == 0, (ended.stdout, ended.stderr)
        self.fleet.assert_all_served(self.namespace)
        for name, content in self.fleet.images.items():
            assert list(missing(self._store, f"{self.namespace}/{self.fleet.lab.name}/{name}", content.digest)) == []
        again = self.fleet.lab.run("plan", "--state", self.namespace, "--detailed-exitcode")
        assert again.code == 0, again.stdout

    def replace_worker(self, number: int) -> None:
        """Kill one of the workers, and start another one."""
        victim = self.fleet.workers.pop(number)
        victim.kill()
        victim.communicate()
        self.fleet.start_workers(1)


def _is_running_after(process: subprocess.Popen[str], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that may be killed."""
    broker = rabbitmq.start(tmp_path_factory.mktemp("own-rabbitmq"), os.getpid() + 1)
    try:
        yield broker
    finally:
        rabbitmq.stop(broker)


@pytest.mark.parametrize("seed", range(10))
def test_killed_workers_lose_nothing(fleet, seed):
    """Ten of them at random moments; each is replaced."""
    chance, sea, kills, runs = random.Random(seed), Sea(fleet), 0, 0
    fleet.start_workers(2)
    while kills < 10:
        with sea.running() as running:
            wait_for(lambda: fleet.lab.destination.recorded(f"(POST|PUT) .*/{sea.namespace}/"))
            while kills < 10 and _is_running_after(running, chance.uniform(0, 1)):
                sea.replace_worker(chance.randrange(2))
                kills += 1
            sea.check(finish(running, timeout=300))
            runs += 1

    assert [one.code for one in fleet.end()] == [0, 0]
    record(
        f"fleet: SIGKILLs of workers, seed {seed}", kills, note=f"in {runs} runs of {_IMAGES} images with two workers; all served, no tag without its content"
    )


@pytest.mark.parametrize("seed", range(4))
def test_killed_coordinators_lose_nothing(fleet, seed):
    """Five of them at random moments; the next run continues."""
    chance, sea, kills = random.Random(seed), Sea(fleet), 0
    fleet.start_workers(2)
    while kills < 5:
        with sea.running() as first:
            running = first
            while kills < 5 and sea.is_at_work(running) and _is_running_after(running, chance.uniform(0, 3)):
                running.kill()
                running.communicate()
                kills += 1
                running = sea.coordinate()
            sea.check(finish(running, timeout=300))

    record(
        f"fleet: SIGKILLs of the coordinator, seed {seed}",
        kills,
        note=f"{_IMAGES} images, completed by the run after the last kill; no tag without its content",
    )


@pytest.mark.parametrize("seed", range(10))
def test_restarted_broker_loses_nothing(lab, own_broker, seed):
    """Killed or stopped in a run; the run is complete at most a minute after the broker is back."""
    chance = random.Random(seed)
    number = signal.SIGKILL if seed % 2 else signal.SIGTERM
    with running_fleet(lab, own_broker) as fleet:
        sea = Sea(fleet)
        fleet.start_workers(2)
        with sea.running() as running:
            wait_for(lambda: fleet.lab.destination.recorded(f"(POST|PUT) .*/{sea.namespace}/"))
            time.sleep(chance.uniform(0, 1))
            os.killpg(int((own_broker.folder / "pid").read_text()), number)
            away = chance.uniform(0, 10)
            time.sleep(away)
            rabbitmq.start(own_broker.folder, os.getpid() + 1)
            back = time.monotonic()
            sea.check(finish(running, timeout=300))
            seconds = time.monotonic() - back

        assert seconds <= _COMPLETE_SECONDS
        assert [one.code for one in fleet.end()] == [0, 0]
        record(f"fleet: RabbitMQ restarted, seed {seed}", seconds, unit="s", note=f"until the run was complete; {number.name}, {away:.0f} s away")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_batch_of_a_lost_worker_is_delivered_again(fleet, number):
    """To an idle one, within ten seconds."""
    fleet.push(1, base=0)
    fleet.declare()
    held = fleet.lab.destination.add(Hold(), method="POST|PUT", nth=1)
    fleet.start_workers(1)
    running = fleet.lab.start("apply", *fleet.options)
    held.reached(90)
    lost = fleet.workers[0]
    fleet.start_workers(1)
    fleet.lab.destination.forget()
    lost.send_signal(number)
    began = time.monotonic_ns()
    wait_for(lambda: fleet.lab.destination.recorded(""))
    seconds = (fleet.lab.destination.recorded("")[0].began - began) / 1e9
    held.release()

    ended = finish(running, timeout=300)
    lost.send_signal(signal.SIGCONT)
    assert ended.code == 0, ended.stderr
    fleet.assert_all_served()
    assert seconds <= _REDELIVERED_SECONDS
    record(f"fleet: batch of a worker that got {number.name} delivered again", seconds, unit="s", note="until the first request of the other worker")
