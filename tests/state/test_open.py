"""Opening the state: one run at a time."""

from __future__ import annotations

import os
import signal
import sqlite3

import filelock
import pytest

from imgsync.state import preflight
from tests.state.test_store import RECORD, opened
from tests.support.images import image
from tests.support.run_imgsync import eventually, finish, stopping
from tests.switches import Hold


@pytest.mark.row("GIT-09")
def test_second_apply_finds_the_state_locked(origin, lab):
    """It exits with 75 and a hint, and pushes nothing; the first is not disturbed."""
    held = Hold()
    lab.source.add(held, method="GET", target="/blobs/", times=1)
    first = lab.start("apply", "-o", "json")
    held.reached()

    second = lab.run("apply")

    assert second.code == 75
    assert "error: " in second.stderr
    assert "hint: " in second.stderr
    assert second.stdout == ""
    held.release()
    assert finish(first).json["summary"]["copied"] == 2
    assert len(lab.destination.requests("PUT .*/manifests/[12]$")) == 2


@pytest.mark.row("RUN-05")
def test_locked_database_does_not_stop_copying(lab, state):
    """If another process locks the database, copying continues and the record is written later."""
    for tag in "123456":
        lab.push("app", tag, image((lab.name, tag)))
    lab.declare("app", "concurrency: {images: 1}\nreferrers: false")
    with state() as store:
        store.put([])
    process = lab.start("apply", "-o", "json", "--heartbeat", "1s")
    held = lab.destination.add(Hold(), method="PUT", target="/manifests/", nth=1)
    held.reached()
    foreign = sqlite3.connect(lab.folder / ".imgsync" / "state" / "cache.db", isolation_level=None)
    foreign.execute("begin immediate")
    held.release()
    # The first record waits for the lock from now on, all others behind it.
    eventually(lambda: len([one for one in lab.destination.recorded("PUT .*/manifests/") if one.status == 201]) == 6)
    lines = [line for _ in range(2) for line in [next(line for line in process.stderr if "apply.progress" in line)]]
    foreign.execute("rollback")
    foreign.close()
    ran = finish(process)

    assert len(lines) == 2
    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["copied"] == 6
    with state() as store:
        assert len(list(store.iter_records())) == 6


@pytest.mark.row("RUN-12")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signal_ends_waiting_for_the_lock(number, lab):
    """A signal ends the wait at once: exit 75, nothing was started."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    folder = lab.folder / ".imgsync" / "state"
    folder.mkdir(parents=True, mode=0o700)
    with filelock.FileLock(folder / "lock", mode=0o600):
        # The last line before the state is opened, and after signals are listened to.
        process = lab.start("apply", "--lock-timeout", "10m", env={"HTTPS_PROXY": "http://127.0.0.1:1"})
        assert any("proxy.ignored" in line for line in process.stderr)
        process.send_signal(number)

        stopping(process)
        ran = finish(process)

    assert ran.code == 75, ran.stderr
    assert lab.destination.seen == []


@pytest.mark.row("ST-08", "ST-12")
def test_one_of_many_runs_gets_the_state(lab):
    """The others exit with 75, so that the database has one writer."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    held = Hold()
    lab.source.add(held, target="/blobs/")
    first = lab.start("apply")
    held.reached()

    others = [lab.start("apply") for _ in range(6)]
    ends = [finish(other, 60) for other in others]
    held.release()

    assert [end.code for end in ends] == [75] * 6
    assert all("locked by another run" in end.stderr for end in ends)
    assert finish(first).code == 0
    assert lab.run("apply", "-o", "json").json["summary"]["kept"] == 1


@pytest.mark.row("ST-09")
def test_network_file_system_is_a_warning(tmp_path, monkeypatch):
    """The warning says that locks may fail there; the state is used."""
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/x rw\n36 35 {os.major(device)}:{os.minor(device)} / {tmp_path} rw shared:1 - nfs4 server:/home rw\n")
    monkeypatch.setattr(preflight, "_MOUNTS", mounts)
    warnings: list[str] = []

    with opened(tmp_path, warnings) as state:
        state.put([RECORD])
    assert "is on nfs4" in warnings[0]
    assert "oci://" in warnings[0]
    mounts.unlink()
    with opened(tmp_path, warnings) as state:
        assert state.get(RECORD.destination) == RECORD
    assert len(warnings) == 1


@pytest.mark.parametrize("command", [["list"], ["show", "r.io/x:1"], ["export", "-"], ["export", "file.jsonl"]], ids=" ".join)
def test_unreadable_state_is_an_error_to_who_asks_for_it(command, lab):
    """An empty answer with exit 0 would look like a state without records; a plan continues without it."""
    lab.declare("app")
    (lab.folder / "damaged").mkdir(mode=0o700)
    (lab.folder / "damaged/cache.db").write_text("no database\n")

    ran = lab.run("state", *command, "--state", "damaged")

    assert (ran.code, ran.stdout) == (1, "")
    assert "damaged" in ran.stderr
    assert "hint: the next apply moves it aside" in ran.stderr
    assert not (lab.folder / "file.jsonl").exists()
    assert (lab.folder / "damaged/cache.db").read_text() == "no database\n"
