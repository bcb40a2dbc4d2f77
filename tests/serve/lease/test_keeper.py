"""Take, renew, lose and release a lease, with clocks that tests move."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest

from imgsync.concurrency.stop import Stop
from imgsync.errors import StoppedError
from imgsync.serve.lease.account import ServiceAccount
from imgsync.serve.lease.alarm import EXIT_CODE
from imgsync.serve.lease.api import LeaseApi
from imgsync.serve.lease.keeper import LeaseKeeper
from imgsync.serve.lease.timing import LeaseTiming
from tests.support.fake_kubernetes import FakeKubernetes
from tests.support.kept_log import KeptLog


@dataclass
class Replica:
    """A keeper with a monotonic clock, and one for the time of day."""

    name: str
    api: LeaseApi
    log: KeptLog = field(default_factory=KeptLog)
    steady: float = 1000.0
    wall: float = 0.0
    alarms: list[float] = field(default_factory=list)

    @cached_property
    def keeper(self) -> LeaseKeeper:
        return LeaseKeeper(
            self.api, identity=self.name, log=self.log, timing=LeaseTiming(), clocks=lambda: (self.steady, self.wall), set_alarm=self.alarms.append
        )

    @property
    def events(self) -> list[str]:
        return [event for event in self.log.names if event != "lease.seen"]

    @property
    def lost(self) -> list[object]:
        """Return why it lost the lease, each time."""
        return [fields["reason"] for event, fields in self.log if event == "lease.lost"]

    def passes(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += seconds


@pytest.fixture
def kubernetes(authority) -> Iterator[FakeKubernetes]:
    with FakeKubernetes(authority) as running:
        yield running


@pytest.fixture
def replica(kubernetes, tmp_path) -> Iterator[Callable[[str], Replica]]:
    """Return replicas by name, each with clocks of its own."""
    made: list[Replica] = []
    kubernetes.write_account(tmp_path, "mirrors")

    def make(name: str) -> Replica:
        account = ServiceAccount(f"https://127.0.0.1:{kubernetes.port}", "mirrors", Path(tmp_path))
        one = Replica(name, LeaseApi(account, "imgsync", timeout_seconds=5))
        made.append(one)
        return one

    yield make
    for one in made:
        one.api.close()


def acquire(one: Replica) -> None:
    """Have a replica take a lease that was never made, or that is not renewed."""
    one.keeper.step()
    one.passes(30)
    one.keeper.step()
    assert one.keeper.is_held


def test_lease_that_does_not_exist_is_taken_after_its_duration(replica, kubernetes):
    """It may have been deleted while another one writes."""
    one = replica("a")

    assert one.keeper.step() == 2.0
    one.passes(29)
    assert one.keeper.step() == 1.0
    assert not one.keeper.is_held
    one.passes(1)
    assert one.keeper.step() == 5.0

    assert one.keeper.is_held
    assert one.events == ["lease.acquired"]
    assert one.keeper.view().holder == "a"
    spec = kubernetes.read("mirrors")["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("a", 30, 0)


@pytest.mark.row("LEASE-02")
def test_lease_of_another_is_taken_once_it_was_unchanged_for_its_duration(replica, kubernetes):
    """Each change begins the time again; what its times say counts for nothing."""
    holder, other = replica("a"), replica("b")
    acquire(holder)
    kubernetes.edit("mirrors", renewTime="1970-01-01T00:00:00.000000Z")
    holder.keeper.step()

    other.keeper.step()
    other.passes(29)
    other.keeper.step()
    holder.keeper.step()
    other.passes(5)
    other.keeper.step()
    assert not other.keeper.is_held, "it was renewed meanwhile"
    other.passes(30)
    other.keeper.step()

    assert other.keeper.is_held
    spec = kubernetes.read("mirrors")["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("b", 1)
    holder.keeper.step()
    assert holder.lost == ["another replica holds the lease"]


@pytest.mark.row("LEASE-02")
@pytest.mark.parametrize("clock", ["steady", "wall"])
def test_fence_closes_by_the_clock_that_counted_most(clock, replica):
    """After a pause of the machine, one of the clocks may have stood still. It opens for the next term alone."""
    one = replica("a")
    acquire(one)
    fence = one.keeper.make_fence()
    setattr(one, clock, getattr(one, clock) + 19.9)
    fence()

    setattr(one, clock, getattr(one, clock) + 0.2)

    with pytest.raises(StoppedError, match="was not renewed for 20"):
        fence()
    assert not one.keeper.is_held
    with pytest.raises(StoppedError):
        one.keeper.make_fence()
    one.keeper.step()
    assert one.keeper.is_held, "no other replica took it"
    one.keeper.make_fence()()
    with pytest.raises(StoppedError, match="was not renewed for 20"):
        fence()
    assert len(one.lost) == 1
    assert one.events == ["lease.acquired", "lease.lost", "lease.acquired"]


@pytest.mark.row("LEASE-02")
def test_clock_that_jumps_gives_a_lease_to_no_one(replica):
    """The time of day of a replica that stands by may jump by hours."""
    holder, other = replica("a"), replica("b")
    acquire(holder)
    other.keeper.step()

    for jump in (7200, -7200):
        other.wall += jump
        other.keeper.step()

    assert not other.keeper.is_held


def test_lease_that_got_a_label_is_still_renewed(replica, kubernetes):
    """Another version of the object is no other holder."""
    one = replica("a")
    acquire(one)
    kubernetes.edit("mirrors", strategy="x")
    one.passes(5)

    one.keeper.step()

    assert (one.keeper.is_held, one.lost) == (True, [])
    assert kubernetes.read("mirrors")["spec"]["strategy"] == "x", "what others wrote stays"


@pytest.mark.parametrize("what", ["deleted", "cleared"])
def test_lease_that_was_taken_away_is_lost_at_the_next_renewal(what, replica, kubernetes):
    """And others wait for the whole duration, since the holder does not know yet."""
    holder, other = replica("a"), replica("b")
    acquire(holder)
    other.keeper.step()
    if what == "deleted":
        kubernetes.delete("mirrors")
    else:
        kubernetes.edit("mirrors", holderIdentity="")

    other.keeper.step()
    other.passes(25)
    other.keeper.step()
    holder.keeper.step()

    assert not other.keeper.is_held
    assert holder.lost == ["the lease was taken away"]


def test_released_lease_is_taken_soon(replica, kubernetes):
    """A clean stop makes nobody wait."""
    holder, other = replica("a"), replica("b")
    acquire(holder)
    other.keeper.step()
    fence = holder.keeper.make_fence()

    holder.keeper._ended.set()
    holder.keeper.release()

    with pytest.raises(StoppedError, match="was released"):
        fence()
    assert holder.lost == []
    assert holder.events[-1] == "lease.released"
    assert kubernetes.read("mirrors")["spec"]["holderIdentity"] == ""
    assert other.keeper.step() == 1.0
    other.passes(1)
    other.keeper.step()
    assert other.keeper.is_held


@pytest.mark.row("LEASE-03")
def test_missing_permission_names_the_rule_to_add(replica, kubernetes):
    """Once in the log, and on the page until it works."""
    one = replica("a")
    message = 'leases.coordination.k8s.io "imgsync" is forbidden'
    kubernetes.answer = lambda *_: (403, json.dumps({"kind": "Status", "message": message}).encode())

    one.keeper.step()
    one.keeper.step()

    assert one.events == ["lease.unreachable"]
    fault = one.keeper.view().fault
    assert f"get the lease mirrors/imgsync: 403 {message}" in fault
    assert "rules: [{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}]" in fault
    kubernetes.answer = lambda *_: None
    one.keeper.step()
    assert one.keeper.view().fault == ""


@pytest.mark.row("LEASE-03")
@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>", "something else"),
        (200, b"[" * 100_000, "something else"),
        (200, b'{"kind": "Lease", "metadata": {}}', "resourceVersion"),
        (200, b'{"kind": "Lease", "metadata": {"resourceVersion": "1"}, "spec": {"leaseDurationSeconds": 1e999}}', "leaseDurationSeconds"),
        (200, b" " * (2 << 20), "too large"),
        (302, b"", "302"),
        (404, b"no such page", "404"),
        (500, b'{"kind": "Status", "message": "\\u001b[2J token-of-the-service-account"}', "***"),
    ],
)
def test_odd_answers_are_faults_and_no_lease(status, body, said, replica, kubernetes):
    """Nothing of them is believed, and the token shows nowhere."""
    one = replica("a")
    kubernetes.answer = lambda *_: (status, body)

    for _ in range(3):
        one.passes(40)
        one.keeper.step()

    assert not one.keeper.is_held
    assert said in one.keeper.view().fault
    assert kubernetes.token not in one.keeper.view().fault
    assert "\x1b" not in one.keeper.view().fault


@pytest.mark.row("LEASE-03")
def test_holder_without_an_api_server_stops_in_time(replica, kubernetes):
    """After two thirds of the duration, whether the API server refuses or is silent."""
    one = replica("a")
    acquire(one)
    kubernetes.answer = lambda *_: (503, b"")

    one.passes(10)
    assert one.keeper.step() == 2.0
    assert one.keeper.is_held
    one.passes(10)
    one.keeper.watch()

    assert len(one.lost) == 1
    assert "503" in one.keeper.view().fault


@pytest.mark.row("LEASE-04")
def test_token_is_read_again_for_each_request(replica, kubernetes, tmp_path):
    """Kubernetes replaces it every hour."""
    one = replica("a")
    acquire(one)
    kubernetes.token = "another-token"
    one.keeper.step()
    assert "401" in one.keeper.view().fault
    (tmp_path / "token").write_text("another-token")

    one.keeper.step()

    assert one.keeper.view().fault == ""


@pytest.mark.row("LEASE-04")
def test_token_goes_to_the_clusters_own_server_alone(replica, kubernetes, tmp_path, monkeypatch):
    """A server with another certificate gets no request, and no variable names a proxy."""
    import trustme

    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    one = replica("a")
    one.keeper.step()
    assert one.keeper.view().fault == ""
    before = len(kubernetes.requests)
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))

    one.keeper.step()

    assert "CERTIFICATE_VERIFY_FAILED" in one.keeper.view().fault
    assert len(kubernetes.requests) == before


@pytest.mark.parametrize("text", ["", "two words", "line\nbreak", "\udcff"])
def test_broken_token_is_a_fault(text, replica, tmp_path):
    """No header is made of it."""
    (tmp_path / "token").write_bytes(text.encode("utf-8", "surrogateescape"))
    one = replica("a")

    one.keeper.step()

    assert "the service account cannot be used" in one.keeper.view().fault


def test_run_that_is_guarded_ends_with_the_term(replica, kubernetes):
    """It stops at once, without a grace period, and the fence of its writes is closed."""
    one, stop = replica("a"), Stop()
    with pytest.raises(StoppedError, match="the lease is not held"), one.keeper.guard(stop):
        pass
    acquire(one)

    with one.keeper.guard(stop):
        stop.check_write()
        assert not stop.is_requested
        kubernetes.edit("mirrors", holderIdentity="b")
        one.keeper.step()

        assert (stop.is_requested, stop.reason, stop.is_interrupted) == (True, "another replica holds the lease", False)
        with pytest.raises(StoppedError):
            stop.check_write()


@pytest.mark.row("LEASE-01")
def test_alarm_is_set_while_the_lease_is_held(replica, kubernetes):
    """With each renewal, and not any longer once the process has noticed that its term is over."""
    one = replica("a")
    acquire(one)
    one.passes(5)
    one.keeper.step()
    kubernetes.answer = lambda *_: (503, b"")
    one.passes(20)

    one.keeper.watch()

    assert one.alarms == [25.0, 25.0, 0]


@pytest.mark.row("LEASE-01")
def test_paused_process_is_ended_before_it_goes_on():
    """By the system: not one more system call of its own is made, whatever it was doing."""
    script = "import os\nfrom imgsync.serve.lease.alarm import Alarm\nAlarm().set(2)\nwhile True:\n    os.write(1, b'x' * 64)\n"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert len(process.stdout.read(10_000)) == 10_000
        process.send_signal(signal.SIGSTOP)
        stopped = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert stopped.si_code == os.CLD_STOPPED
        os.set_blocking(process.stdout.fileno(), False)
        while process.stdout.read(1 << 16):
            pass
        pending = re.compile(r"^ShdPnd:\t([0-9a-f]+)$", re.MULTILINE)
        while not int(pending.search(Path(f"/proc/{process.pid}/status").read_text())[1], 16) >> (signal.SIGALRM - 1) & 1:
            time.sleep(0.02)
        process.send_signal(signal.SIGCONT)

        assert process.wait(30) == EXIT_CODE
        assert not process.stdout.read(1 << 16)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name no API server"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443x"}, "name no API server"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1/evil"}, "name no API server"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "IMGSYNC_LEASE_ACCOUNT": "missing"}, "cannot read missing/namespace: No such file"),
        ({"KUBERNETES_SERVICE_HOST": "fd00::1", "IMGSYNC_LEASE_ACCOUNT": "account"}, "--lease-name 'Not a name' is not a name of Kubernetes"),
    ],
)
def test_process_that_is_no_pod_is_refused_at_once(variables, said, lab):
    """With what to do instead."""
    lab.write("account/namespace", "mirrors")
    lab.declare("app")

    ran = lab.run("serve", "--lease", "kubernetes", "--lease-name", "Not a name" if "account" in variables.values() else "imgsync", env=variables)

    assert ran.code == 3
    assert said in ran.stderr
    assert "hint: " in ran.stderr
