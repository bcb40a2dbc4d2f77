"""Stale or forged records cost requests, never correctness."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from imgsync.state import SeenBlobs
from imgsync.text.units import format_timestamp
from tests.crash.harness import Running
from tests.state.test_store import RECORD, execute, opened
from tests.support.images import image, request
from tests.switches import Hold
from tests.switches.state import AtStep, LosesAnswer

ONE_TAG = "tags: {names: ['1']}"


@pytest.mark.row("ST-15")
@pytest.mark.parametrize("how", ["killed", "answer lost"])
def test_tag_that_moves_back_after_a_lost_answer_is_pushed(how, lab):
    """The destination has the new image without our knowledge; the old record must not count."""
    old = lab.push("app", "1", image("old"))
    lab.declare("app", ONE_TAG, retry="{attempts: 1, interval: 0s}")
    assert lab.run("apply").code == 0
    new = lab.push("app", "1", image("new"))
    held = Hold()
    lab.destination.add(held, method="POST")
    running = Running(lab.start("apply"))
    held.reached()
    lab.destination.add(AtStep(1, "answered", running.kill) if how == "killed" else LosesAnswer(), method="PUT", target="/manifests/1$")
    held.release()
    assert running.end().code == (-signal.SIGKILL if how == "killed" else 1)
    assert lab.served_digest("app", "1") == new.digest
    lab.destination.clear()
    lab.push("app", "1", old)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert lab.served_digest("app", "1") == old.digest
    assert lab.run("apply", "-o", "json").json["summary"]["copied"] == 0


@pytest.mark.row("ST-15")
def test_tag_deleted_without_our_knowledge_is_pushed_again(lab):
    """The run was killed after the deletion; when the tag is selected again it is pushed."""
    wanted = lab.push("app", "1", image(1))
    lab.push("app", "2", image(2))
    lab.declare("app", "tags: {names: ['1', '2']}\nprune: true")
    assert lab.run("apply").code == 0
    lab.declare("app", "tags: {names: ['2']}\nprune: true")
    held = Hold()
    lab.destination.add(held, method="HEAD", target="/manifests/1$")
    running = Running(lab.start("apply"))
    held.reached()
    lab.destination.add(AtStep(1, "answered", running.kill), method="DELETE", target="/manifests/sha256:")
    held.release()
    assert running.end().code == -signal.SIGKILL
    assert lab.served_tags("app") == ["2"]
    lab.destination.clear()
    lab.declare("app", "tags: {names: ['1', '2']}\nprune: true")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert lab.served_digest("app", "1") == wanted.digest


@pytest.mark.row("ST-15")
def test_garbage_collected_blobs_are_pushed_again(lab):
    """The refused manifest is the signal; one run repairs all, and the next has nothing to do."""
    shared = b"shared " * 500
    lab.push("app", "1", image(1, layers=1, shared=shared))
    lab.declare("app")
    assert lab.run("apply").code == 0
    wanted = lab.push("app", "2", image(2, layers=1, shared=shared))
    for digest in image(1, layers=1, shared=shared).all_blobs:
        assert request(lab.destination_registry, "DELETE", f"/v2/m/{lab.name}/app/blobs/{digest}")[0] == 202

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert lab.served_manifest("app", "2") == wanted.raw
    for digest, content in wanted.all_blobs.items():
        assert request(lab.destination_registry, "GET", f"/v2/m/{lab.name}/app/blobs/{digest}")[2] == content
    assert lab.run("apply", "-o", "json").json["summary"]["copied"] == 0


@pytest.fixture
def folder(workplace) -> Path:
    """Return the folder of the state for `opened`."""
    return workplace.folder / ".imgsync"


@pytest.mark.row("ST-16")
def test_forged_records_push_no_incomplete_image(lab, folder):
    """A forged record may suppress a copy, but every pushed image is complete; --refresh repairs."""
    wanted = lab.push("app", "1", image(1))
    pushed = lab.push("app", "2", image(2))
    lab.declare("app")
    with opened(folder) as state:
        lie = replace(
            RECORD,
            destination=f"{lab.destination}/m/{lab.name}/app:1",
            digest=wanted.digest,
            crc32=wanted.crc32,
            source=f"{lab.source}/{lab.name}/app:1",
            source_digest=wanted.digest,
            selection="platforms=all;referrers=all",
        )
        state.put([lie], blobs=[SeenBlobs(lab.destination.host, f"m/{lab.name}/app", lab.source.host, dict.fromkeys([*pushed.all_blobs, *wanted.all_blobs]))])

    assert lab.run("apply", "-o", "json").json["summary"]["copied"] == 1
    assert lab.served_tags("app") == ["2"], "what the state forges is not looked for, and nothing half is put there"
    for digest, content in pushed.all_blobs.items():
        assert request(lab.destination_registry, "GET", f"/v2/m/{lab.name}/app/blobs/{digest}")[2] == content
    assert lab.run("verify").code == 1
    assert lab.run("apply", "--refresh").code == 0
    assert lab.served_manifest("app", "1") == wanted.raw
    assert lab.run("verify").code == 0


@pytest.mark.row("ST-17")
def test_state_of_last_week_converges(lab):
    """Missing records are found at the destination, moved tags are updated, the next run is quiet."""
    lab.push("app", "1", image("old"))
    lab.declare("app")
    assert lab.run("apply").code == 0
    state = lab.folder / ".imgsync" / "state"
    shutil.copytree(state, lab.folder / "kept")
    moved = lab.push("app", "1", image("new"))
    added = lab.push("app", "2", image("added"))
    assert lab.run("apply").code == 0
    shutil.rmtree(state)
    (lab.folder / "kept").rename(state)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["bytes_copied"] == 0
    assert [lab.served_digest("app", tag) for tag in "12"] == [moved.digest, added.digest]
    assert lab.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.row("ST-19")
@pytest.mark.parametrize("years", [-1, 1])
def test_clock_that_jumped_changes_no_plan(years, lab, folder):
    """Records dated a year ago or next year count as usual."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    moment = datetime.now(UTC) + timedelta(days=365 * years)
    with opened(folder) as state:
        state.put([replace(record, applied_at=format_timestamp(moment)) for record in state.iter_records()])
    execute(folder, ("update Cache set store_time = ?, access_time = ?", (moment.timestamp(), moment.timestamp())))
    lab.destination.forget()

    ran = lab.run("apply", "-o", "json")

    assert (ran.code, ran.json["summary"]["kept"], lab.destination.seen) == (0, 1, [])
    assert "state.degraded" not in ran.stderr
