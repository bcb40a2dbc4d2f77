"""A fleet for tests: workers of the lab's declarations, and their queue."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.support.images import Image, image, layer
from tests.support.lab import Lab
from tests.support.rabbitmq import Broker
from tests.support.relay import Relay
from tests.support.run_imgsync import Result, eventually, finish


@dataclass
class FleetLab:
    """Images at the source, a broker, and the workers that were started."""

    lab: Lab
    broker: Broker
    queue: str = field(default_factory=lambda: f"q{uuid.uuid4().hex[:8]}")
    images: dict[str, Image] = field(default_factory=dict)
    workers: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def options(self) -> tuple[str, ...]:
        """The options that coordinator and workers share."""
        return self.options_for(self.broker.url)

    def options_for(self, url: str) -> tuple[str, ...]:
        """Return the options of a process that reaches the broker at *url*."""
        return ("--broker", url, "--queue", self.queue, "--log-format", "json", "--log-level", "info")

    def push(self, count: int, *, base: int = 3) -> None:
        """Push *count* images on one base, each to a repository of its own."""
        layers = [layer((self.lab.name, "base", number), 16 << 10) for number in range(base)]
        self.images = {f"b{number:02}": image((self.lab.name, number), contents=[*layers, layer((self.lab.name, number), 2048)]) for number in range(count)}
        for name, content in self.images.items():
            self.lab.push(name, "v1", content)

    def declare(self, namespace: str = "m", **settings: object) -> None:
        """Declare the mirror of the images to *namespace*."""
        self.lab.workplace.allow_plain_http(self.lab.source, self.lab.destination)
        repositories = [f"{self.lab.name}/{name}" for name in self.images]
        source = {"registry": self.lab.source.host, "repositories": repositories}
        destination = f"{self.lab.destination.host}/{namespace}"
        self.lab.workplace.mirror("a", source=source, destinations=[destination], retry={"attempts": 2, "interval": "0s"}, **settings)

    def start_workers(self, count: int, url: str = "") -> None:
        """Start *count* workers, and wait until all that were started consume; *url* is how they reach the broker, if not directly."""
        self.workers += [self.lab.start("worker", *self.options_for(url or self.broker.url)) for _ in range(count)]
        wait_for(lambda: self.broker.count_consumers(self.queue) >= len(self.workers))

    def coordinate(self, *arguments: str) -> Result:
        """Run the coordinator to its end."""
        return self.lab.run("apply", *self.options, *arguments, timeout=180)

    def assert_all_served(self, namespace: str = "m") -> None:
        """Assert that the destination has every image, and all of its content."""
        tags = [(f"{namespace}/{self.lab.name}/{name}", "v1") for name in self.images]
        served = self.lab.destination_registry.digests(tags)
        assert served == {key: content.digest for key, content in zip(tags, self.images.values(), strict=True)}

    def end(self) -> list[Result]:
        """Stop the workers in order; return how each ended."""
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        ended = [finish(worker, timeout=60) for worker in self.workers]
        self.workers = []
        return ended

    def metric(self, name: str) -> dict[str, float]:
        """Return a metric of the last run by its labels."""
        lines = (self.lab.folder / "metrics.txt").read_text().splitlines()
        return {line.split(" ")[0].removeprefix(name): float(line.split(" ")[1]) for line in lines if line.startswith(f"{name}{{")}


@contextlib.contextmanager
def running_fleet(lab: Lab, broker: Broker) -> Iterator[FleetLab]:
    """Yield a fleet without workers yet; kill those that are left."""
    made = FleetLab(lab, broker)
    try:
        yield made
    finally:
        for worker in made.workers:
            worker.kill()
            worker.communicate()


@pytest.fixture
def relay(broker: Broker) -> Iterator[Relay]:
    """A line to the broker that can be lost."""
    with Relay(broker.host, 5672) as running:
        yield running


@pytest.fixture
def fleet(lab: Lab, broker: Broker) -> Iterator[FleetLab]:
    """A fleet at the broker of this session."""
    with running_fleet(lab, broker) as made:
        yield made


def wait_for(true: Callable[[], object]) -> None:
    """Return once *true* says so; an error, such as of a queue that is not there yet, means no."""

    def is_so() -> object:
        with contextlib.suppress(Exception):
            return true()
        return False

    # A question to the broker is a connection of its own.
    eventually(is_so, seconds=90, pause_seconds=0.05)
