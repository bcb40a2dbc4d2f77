"""Two replicas before a fake API server, disturbed by a seed, and judged by what arrives."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from imgsync.serve.lease.alarm import EXIT_CODE
from tests.support.fake_kubernetes import FakeKubernetes
from tests.support.relay import Relay

# Nothing that follows from the duration takes longer than a start on a busy machine.
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Write:
    """A write that arrived at the destination, in seconds of the monotonic clock."""

    at: float
    replica: str


class StartReplica(Protocol):
    """Starts a replica."""

    def __call__(self, name: str, environment: dict[str, str]) -> subprocess.Popen[str]:
        """Start the replica *name* with more variables than its own."""


@dataclass(slots=True)
class Verdict:
    """What a scenario showed; `takeovers` are the seconds until another replica held the lease."""

    seed: int
    writes: int = 0
    takeovers: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)


class Scenario:
    """Two replicas and what happens to them."""

    def __init__(
        self, seed: int, kubernetes: FakeKubernetes, folder: Path, *, seconds: int, start: StartReplica, list_writes: Callable[[], list[Write]]
    ) -> None:
        self.namespace = f"seed-{seed}"
        self._random = random.Random(seed)
        self._kubernetes = kubernetes
        self._folder = folder
        self._seconds = seconds
        self._start_replica = start
        self._list_writes = list_writes
        self._relays: dict[str, Relay] = {}
        self._before: dict[str, int] = {}
        self._running: dict[str, subprocess.Popen[str]] = {}
        self.verdict = Verdict(seed)

    def run(self, *, disturbances: int) -> Verdict:
        with ExitStack() as ends:
            for name in "ab":
                self._relays[name] = ends.enter_context(Relay("127.0.0.1", self._kubernetes.port))
                self._start(name)
            ends.callback(self._end)
            for _ in range(disturbances):
                holder = self._await_writer()
                self._await_start(self._other(holder))
                self._disturb(holder if self._random.random() < 0.8 else self._other(holder), holder)
            self._await_writer()
        self._judge()
        return self.verdict

    def _start(self, name: str) -> None:
        self._before[name] = self._relays[name].accepted
        variables = self._kubernetes.write_account(self._folder / name, self.namespace)
        variables |= {"KUBERNETES_SERVICE_PORT": str(self._relays[name].port), "IMGSYNC_LEASE_SECONDS": str(self._seconds), "POD_NAME": name}
        self._running[name] = self._start_replica(name, variables)

    def _end(self) -> None:
        for one in self._running.values():
            one.send_signal(signal.SIGCONT)
            one.terminate()
        for one in self._running.values():
            try:
                one.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                one.kill()
                self.verdict.wrong.append("a replica does not end")

    def _other(self, name: str) -> str:
        return "b" if name == "a" else "a"

    def _await_start(self, name: str) -> None:
        """Return once the replica *name* has asked the API server: before, it does not stand by."""
        ends = time.monotonic() + _PATIENCE_SECONDS
        while self._relays[name].accepted == self._before[name]:
            assert time.monotonic() < ends, f"the replica {name} does not start"
            self._revive()
            time.sleep(0.01)

    def _await_writer(self) -> str:
        """Return the replica whose write arrives next."""
        before = len(self._list_writes())
        ends = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < ends:
            writes = self._list_writes()
            if len(writes) > before:
                return writes[-1].replica
            self._revive()
            time.sleep(0.01)
        raise AssertionError(f"seed {self.verdict.seed}: no replica writes; after {self.verdict.done}")

    def _disturb(self, name: str, holder: str) -> None:
        """Kill, pause or cut off the replica *name*, for a time by the seed."""
        kind = self._random.choice(["kill", "pause", "silence", "cut"])
        for_seconds = self._random.uniform(0.05, 2.0) * self._seconds
        time.sleep(self._random.uniform(0, 0.3))
        began = time.monotonic()
        victim, relay = self._running[name], self._relays[name]
        lasts = kind == "kill" or for_seconds > 1.3 * self._seconds
        self.verdict.done.append(f"{kind} {name} {'(writes)' if name == holder else ''} {for_seconds:.2f}s")
        if kind == "kill":
            victim.kill()
            victim.wait()
        elif kind == "pause":
            victim.send_signal(signal.SIGSTOP)
        else:
            relay.fall_silent()
        if lasts and name == holder:
            self._await_takeover(name, began)
        time.sleep(max(0.0, began + for_seconds - time.monotonic()))
        if kind == "kill":
            self._start(name)
        elif kind == "pause":
            victim.send_signal(signal.SIGCONT)
        else:
            if kind == "cut":
                relay.cut()
            relay.speak()

    def _revive(self) -> bool:
        """Start replicas again that the system has ended, as Kubernetes does; return whether there was one."""
        ended = [name for name, one in self._running.items() if one.poll() == EXIT_CODE]
        for name in ended:
            self.verdict.done.append(f"{name} was ended")
            self._start(name)
        return bool(ended)

    def _await_takeover(self, loser: str, began: float) -> None:
        ends = time.monotonic() + _PATIENCE_SECONDS
        other, was_there = self._other(loser), True
        while time.monotonic() < ends:
            was_there = not self._revive() and was_there
            history = self._kubernetes.history[f"{self.namespace}/imgsync"]
            taken = next((one.at for one in list(history) if one.at > began and one.holder.startswith(f"{other}_")), None)
            if taken is not None:
                if was_there:
                    self.verdict.takeovers.append(taken - began)
                return
            time.sleep(0.01)
        self.verdict.wrong.append(f"{other} did not take over")

    def _judge(self) -> None:
        """Compare each write with who held the lease when it arrived."""
        history = self._kubernetes.history.get(f"{self.namespace}/imgsync", [])
        writes = self._list_writes()
        self.verdict.writes = len(writes)
        place = 0
        for write in sorted(writes, key=lambda one: one.at):
            while place + 1 < len(history) and history[place + 1].at <= write.at:
                place += 1
            holder = history[place].holder if history and history[0].at <= write.at else ""
            if holder.partition("_")[0] != write.replica:
                self.verdict.wrong.append(f"{write.replica} wrote at {write.at:.3f} while {holder or 'none'} held the lease")


def run_scenarios(
    seeds: range, make: Callable[[int], Scenario], *, at_once: int, disturbances: int, on_end: Callable[[int], list[str]] = lambda _: []
) -> list[Verdict]:
    """
    Run the scenarios of *seeds*, some at once; return what each showed.

    *on_end* gives back what a scenario had, and returns what else was wrong.
    """
    verdicts: list[Verdict] = []
    waiting = list(seeds)
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                seed = waiting.pop(0)
            try:
                verdict = make(seed).run(disturbances=disturbances)
            except Exception as error:  # noqa: BLE001 - the seed and what it did are part of the verdict
                verdict = Verdict(seed, wrong=[repr(error)])
            verdict.wrong += on_end(seed)
            with lock:
                verdicts.append(verdict)

    threads = [threading.Thread(target=work) for _ in range(at_once)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return verdicts


def check_verdicts(verdicts: Sequence[Verdict], *, seconds: int) -> None:
    """Assert that one wrote at a time, and that each takeover of a lease of *seconds* came in time."""
    takeovers = [taken for verdict in verdicts for taken in verdict.takeovers]
    sys.stdout.write(
        f"{len(verdicts)} scenarios, {sum(one.writes for one in verdicts)} writes, {len(takeovers)} takeovers, longest {max(takeovers, default=0):.2f}s\n"
    )
    assert {one.seed: (one.done, one.wrong[:3]) for one in verdicts if one.wrong} == {}
    assert all(verdict.writes for verdict in verdicts)
    # Of 30 seconds, 35; and what starting and noticing takes on a busy machine.
    limit = seconds * 35 / 30 + 1.5
    assert [(one.seed, one.done, one.takeovers) for one in verdicts if max(one.takeovers, default=0.0) > limit] == []
