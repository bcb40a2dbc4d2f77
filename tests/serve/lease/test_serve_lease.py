"""Two replicas of `imgsync serve` that are killed, paused and cut off: one writes at a time."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.effort import effort
from tests.support.fake_kubernetes import FakeKubernetes
from tests.support.faults import FaultProxy
from tests.support.images import image
from tests.support.serving import Serving
from tests.support.two_replicas import Scenario, Write, check_verdicts, run_scenarios

_SECONDS = 3
_TAGS = 4


@pytest.fixture
def kubernetes(authority) -> Iterator[FakeKubernetes]:
    with FakeKubernetes(authority) as running:
        yield running


class Replicas:
    """What two replicas of a seed need: a source that moves, a folder and a way to the destination each."""

    def __init__(self, lab, seed: int) -> None:
        self._lab = lab
        self._repository = f"app{seed}"
        self._number = 0
        self._ends = threading.Event()
        self._started: list[Serving] = []
        self.proxies = {name: FaultProxy(lab.destination_registry) for name in "ab"}
        for name, proxy in self.proxies.items():
            proxy.__enter__()
            source = f"{lab.source_registry.host}/{lab.name}/{self._repository}"
            self._folder = lab.folder / str(seed)
            mirror = f"{{name: a, source: '{source}', destinations: ['{proxy.host}/m'], tags: {{names: ['0', '1', '2', '3']}}, retry: {{attempts: 1}}}}"
            lab.write(f"{seed}/{name}/mirrors.d/a.yaml", f"version: 1\nmirrors: [{mirror}]\n")
            lab.write(
                f"{seed}/{name}/registries.yaml", f"version: 1\nregistries: {{'{lab.source_registry.host}': {{tls: false}}, '{proxy.host}': {{tls: false}}}}\n"
            )
        self._mover = threading.Thread(target=self._move, daemon=True)
        for tag in range(_TAGS):
            self._push(tag)
        self._mover.start()

    def start(self, name: str, environment: dict[str, str]) -> subprocess.Popen[str]:
        serving = Serving(self._lab.workplace, "--every", "1s", "--lease", "kubernetes", env=environment, cwd=self._folder / name)
        serving.start()
        self._started.append(serving)
        return serving.process

    def list_writes(self) -> list[Write]:
        return [Write(one.began / 1e9, name) for name, proxy in self.proxies.items() for one in proxy.seen if one.method not in {"GET", "HEAD"}]

    def close(self) -> list[str]:
        """End all; return what they said of defects."""
        self._ends.set()
        self._mover.join()
        for proxy in self.proxies.values():
            proxy.__exit__()
        return [line for one in self._started for line in one.said().splitlines() if "Traceback" in line or "internal.error" in line]

    def _move(self) -> None:
        while not self._ends.wait(0.15):
            self._push(self._number % _TAGS)

    def _push(self, tag: int) -> None:
        self._number += 1
        self._lab.push(self._repository, str(tag), image((self._repository, self._number), layers=1))


@pytest.mark.nightly
@pytest.mark.row("LEASE-01")
@pytest.mark.row("LEASE-02")
def test_two_services_never_write_at_the_same_time(lab, kubernetes):
    """All that changes something at the destination is from the holder of the lease; another one takes over in time."""
    made: dict[int, Replicas] = {}

    def make(seed: int) -> Scenario:
        replicas = made[seed] = Replicas(lab, seed)
        return Scenario(seed, kubernetes, lab.folder / "accounts" / str(seed), seconds=_SECONDS, start=replicas.start, list_writes=replicas.list_writes)

    first = int(os.environ.get("IMGSYNC_TEST_SEED", "0"))
    verdicts = run_scenarios(
        range(first, first + effort(3, 200)), make, at_once=effort(3, 4), disturbances=effort(1, 1), on_end=lambda seed: made.pop(seed).close()
    )

    check_verdicts(verdicts, seconds=_SECONDS)


def test_silent_api_server_does_not_hold_up_the_end(lab, kubernetes, tmp_path):
    """The lease cannot be given back; then it runs out, and the process ends in time."""
    lab.push("app", "1.0", image("first"))
    lab.declare("app", "tags: {include: ['*']}")
    kubernetes.put("imgsync", holderIdentity="", leaseDurationSeconds=1)
    ends = threading.Event()
    with Serving(lab.workplace, "--lease", "kubernetes", env=kubernetes.write_account(tmp_path / "account", "imgsync")) as serving:
        serving.wait_for("run.ended")
        kubernetes.answer = lambda *_: (503, b"") if ends.wait(30) else None
        began = time.monotonic()
        assert serving.end().code == 0
        assert time.monotonic() - began < 4.5
    ends.set()
