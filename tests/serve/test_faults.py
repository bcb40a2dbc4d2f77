"""`imgsync serve` when something is wrong: locks, disks, registries, files, signals."""

from __future__ import annotations

import fcntl
import json
import signal
import time
from contextlib import contextmanager

import pytest

from tests import switches
from tests.support.images import image
from tests.support.run_imgsync import eventually
from tests.support.serving import Serving
from tests.switches import Hold


@pytest.fixture
def mirrored(lab):
    """Declare one mirror of one tag."""
    lab.push("app", "1.0", image(lab.name))
    lab.declare("app", "tags: {include: ['*']}\nschedule: {every: 10s}")
    return lab


@contextmanager
def locked_state(lab):
    """Hold the lock of the state, as another run does."""
    folder = lab.folder / ".imgsync/state"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        (folder / "lock").chmod(0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lambda: fcntl.flock(lock, fcntl.LOCK_UN)


@pytest.mark.row("LOOP-01")
def test_locked_state_is_shown_and_taken_up_again(mirrored):
    """A run that another holds up fails with that reason, and its retry succeeds."""
    with locked_state(mirrored) as release, Serving(mirrored.workplace) as serving:
        ended = serving.wait_for("run.ended", exit_code=75)
        assert "is locked by another run" in ended["error"]
        status = serving.get("/api/v1/status").json()
        assert any("is locked by another run" in problem for problem in status["problems"])
        assert "imgsync_serve_problems 1.0" in serving.get("/metrics").text
        assert serving.get("/readyz").status_code == 200
        release()
        serving.wait_for("run.ended", exit_code=0)
        eventually(lambda: serving.get("/api/v1/status").json()["problems"] == [])


@pytest.mark.row("LOOP-02")
def test_history_that_cannot_be_written_costs_only_history(mirrored):
    """The images are copied, and the page says what is wrong."""
    (mirrored.folder / ".imgsync/state").mkdir(mode=0o700, parents=True)
    (mirrored.folder / ".imgsync/state/runs").write_text("not a folder")
    with Serving(mirrored.workplace) as serving:
        serving.wait_for("history.unwritten")
        assert serving.wait_for("run.ended")["exit_code"] == 0
        assert any("history" in problem for problem in serving.get("/api/v1/status").json()["problems"])
        assert len(serving.get("/api/v1/runs").json()["runs"]) == 1
    assert mirrored.served_tags("app") == ["1.0"]


@pytest.mark.row("LOOP-02")
def test_damaged_history_is_skipped(mirrored):
    """What is not a document of a run is a warning; half a document is removed."""
    folder = mirrored.folder / ".imgsync/state/runs"
    folder.mkdir(mode=0o700, parents=True)
    (folder.parent).chmod(0o700)
    (folder / "20260101T000000-aaaa.json").write_text('{"format": "imgsync.run/v1", "id": 7')
    (folder / "20260101T000000-bbbb.json").write_text(json.dumps({"format": "imgsync.run/v1", "id": "../../x"}))
    (folder / "20260101T000000-cccc.json").symlink_to("/etc/passwd")
    (folder / "20260101T000000-dddd.json").write_text("[" * 100_000)
    (folder / ".20260101T000000-eeee.json.abc").write_text("{")
    with Serving(mirrored.workplace) as serving:
        serving.wait_for("run.ended")
        assert {line["file"][16:20] for line in serving.events("history.damaged")} == {"aaaa", "bbbb", "cccc", "dddd"}
        assert len(serving.get("/api/v1/runs").json()["runs"]) == 1
        assert serving.get("/api/v1/runs/20260101T000000-cccc").status_code == 404
        assert serving.get("/api/v1/runs/..%2F..%2Faccepted-documents").status_code == 404
    assert not list(folder.glob(".*"))


def test_failing_registry_is_retried_and_recovers(mirrored):
    """The tag is failing with its reason, and in step after the retry."""
    mirrored.destination.add(switches.Respond(500), method="PUT", target="/manifests/")
    with Serving(mirrored.workplace) as serving:
        serving.wait_for("run.ended", exit_code=1)
        found = serving.get("/api/v1/mirrors").json()["mirrors"][0]
        assert (found["state"], found["failures"]) == ("failing", 1)
        mirrored.destination.clear()
        serving.wait_for("run.ended", exit_code=0)
        found = serving.get("/api/v1/mirrors").json()["mirrors"][0]
        assert (found["state"], found["failures"], found["counts"]["in_step"]) == ("in_step", 0, 1)


@pytest.mark.row("LOOP-03")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_signal_drains_the_run_within_its_grace(number, lab):
    """The run is cut after the grace, recorded and in the history; the next process finishes it."""
    held = _hold_a_copy(lab)
    with Serving(lab.workplace, "--grace", "1s") as serving:
        held.reached()
        began = time.monotonic()
        result = serving.end(number)
        assert time.monotonic() - began < 10, "grace + 5 s, and what others take on this machine"
        assert result.code == 0, result.stderr
        assert serving.events("run.ended")[-1]["exit_code"] == 75
        lab.source.clear()
        serving.start()
        serving.wait_for("run.ended", exit_code=0)
        assert [run["exit_code"] for run in serving.get("/api/v1/runs").json()["runs"]] == [0, 75]
    assert lab.served_tags("app") == ["1.0"]


@pytest.mark.row("LOOP-03")
def test_readiness_ends_with_the_first_signal(lab):
    """While the run drains, no new work is sent here, and the page still answers."""
    held = _hold_a_copy(lab)
    with Serving(lab.workplace, "--grace", "10s") as serving:
        held.reached()
        serving.send(signal.SIGTERM)
        serving.wait_for("serve.ending")
        assert serving.get("/readyz").status_code == 503
        assert serving.get("/healthz").status_code == 200
        lab.source.clear()
        held.release()
        assert serving.finish().code == 0
    assert lab.served_tags("app") == ["1.0"]


@pytest.mark.row("LOOP-03")
def test_second_signal_ends_at_once(lab):
    """The user does not wait for the grace."""
    held = _hold_a_copy(lab)
    with Serving(lab.workplace, "--grace", "10m") as serving:
        held.reached()
        serving.send(signal.SIGTERM)
        serving.wait_for("serve.ending")
        assert serving.end(signal.SIGTERM, seconds=10).code == 130


@pytest.mark.row("LOOP-03")
def test_killed_process_is_taken_over(lab):
    """What it was copying when it was killed is copied by the next one."""
    held = _hold_a_copy(lab)
    with Serving(lab.workplace) as serving:
        held.reached()
        serving.crash()
        lab.source.clear()
        serving.start()
        serving.wait_for("run.ended", exit_code=0)
    assert lab.served_tags("app") == ["1.0"]


@pytest.mark.row("LOOP-04")
def test_apply_beside_it_uses_the_same_state(mirrored):
    """Between two runs the state is free, so that a person can apply."""
    with Serving(mirrored.workplace, "--every", "1h") as serving:
        serving.wait_for("run.ended")
        mirrored.push("app", "2.0", image("second"))
        result = mirrored.run("apply", "-o", "json", "--lock-timeout", "30s")
        assert (result.code, result.json["summary"]["copied"], result.json["summary"]["kept"]) == (0, 1, 1)


@pytest.mark.row("LOOP-05")
def test_plan_above_a_limit_is_not_applied(mirrored):
    """The run says which limit, and nothing is copied."""
    mirrored.push("app", "2.0", image("second"))
    with Serving(mirrored.workplace, "--max-changes", "1") as serving:
        ended = serving.wait_for("run.ended")
        assert "more than --max-changes 1" in ended["error"]
    assert mirrored.served_tags("app") == []


def test_listening_where_another_does_is_refused(mirrored):
    """It ends with the address, before anything runs."""
    with Serving(mirrored.workplace) as serving:
        address = serving.url.removeprefix("http://")
        result = mirrored.run("serve", "--listen", address, "--state", "other")
    assert result.code == 3
    assert address in result.stderr
    assert not (mirrored.folder / "other").exists()


@pytest.mark.row("LOOP-01")
def test_state_that_cannot_be_written_is_shown(mirrored):
    """The images are copied; the page says that nothing of it is remembered."""
    folder = mirrored.folder / ".imgsync/state"
    folder.mkdir(mode=0o700, parents=True)
    # A folder where the database should be.
    (folder / "cache.db").mkdir()
    with Serving(mirrored.workplace) as serving:
        assert serving.wait_for("run.ended")["exit_code"] == 0
        assert serving.events("state.degraded")
        eventually(lambda: any("state" in problem for problem in serving.get("/api/v1/status").json()["problems"]))
    assert mirrored.served_tags("app") == ["1.0"]


def _hold_a_copy(lab) -> Hold:
    """Declare an image whose copy does not end until it is released."""
    lab.push("app", "1.0", image(lab.name, layers=1, layer_bytes=200_000))
    lab.declare("app", "tags: {include: ['*']}\nreferrers: false")
    held = Hold()
    lab.source.add(held, method="GET", target="/blobs/")
    return held
