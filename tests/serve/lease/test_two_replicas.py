"""Of two replicas that are killed, paused and cut off, one writes at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.effort import effort
from tests.support.fake_kubernetes import FakeKubernetes
from tests.support.faults import FaultProxy
from tests.support.two_replicas import Scenario, Write, check_verdicts, run_scenarios
from tests.switches import Respond

_ROOT = Path(__file__).parents[3]
_SECONDS = 3


@pytest.fixture
def kubernetes(authority) -> Iterator[FakeKubernetes]:
    with FakeKubernetes(authority) as running:
        yield running


@pytest.mark.nightly
@pytest.mark.row("LEASE-01")
@pytest.mark.row("LEASE-02")
def test_two_replicas_never_write_at_the_same_time(kubernetes, tmp_path):
    """What arrives at the destination is from the holder, by the history of the API server; another one takes over in time."""
    destinations: dict[int, FaultProxy] = {}

    def make(seed: int) -> Scenario:
        destination = destinations[seed] = FaultProxy(None)
        destination.add(Respond(201))
        destination.__enter__()

        def start(name: str, environment: dict[str, str]) -> subprocess.Popen[str]:
            command = [sys.executable, str(_ROOT / "tests/serve/lease/writer.py"), name, destination.host]
            log = (tmp_path / f"{seed}-{name}.log").open("a")
            whole = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT), **environment}
            with log:
                return subprocess.Popen(command, env=whole, stdout=log, stderr=log, text=True)

        def list_writes() -> list[Write]:
            return [Write(one.began / 1e9, one.path.split("/")[2]) for one in destination.seen if one.method == "PUT"]

        return Scenario(seed, kubernetes, tmp_path / str(seed), seconds=_SECONDS, start=start, list_writes=list_writes)

    first = int(os.environ.get("IMGSYNC_TEST_SEED", "0"))
    verdicts = run_scenarios(range(first, first + effort(10, 200)), make, at_once=effort(5, 8), disturbances=effort(1, 2))

    check_verdicts(verdicts, seconds=_SECONDS)
