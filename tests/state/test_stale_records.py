"""Stale or forged records cost requests, never correctness."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from imgsync.text.units import format_timestamp
from tests.crash.harness import Running
from tests.state.test_store import RECORD, execute, opened
from tests.support.images import image, pull_raw, push, request
from tests.switches import Hold
from tests.switches.state import AtStep, LosesAnswer

ONE_TAG = "tags: {names: ['1']}"


@pytest.mark.row("ST-15")
@pytest.mark.parametrize("how", ["killed", "answer lost"])
def test_tag_that_moved_and_moves_back_is_not_taken_for_what_it_was(how, registry, second_registry, name, declare, imgsync, start_imgsync, destination):
    """The registry took the new image and we never heard of it; what is remembered of the old one must not count when the source goes back to it."""
    old = push(registry, f"{name}/app", "1", image("old"))
    declare(f"[{name}/app]", ONE_TAG, retry="{attempts: 1, interval: 0s}")
    assert imgsync("apply").code == 0
    new = push(registry, f"{name}/app", "1", image("new"))
    held = Hold()
    destination.add(held, method="POST")
    running = Running(start_imgsync("apply"))
    held.reached()
    destination.add(AtStep(1, "answered", running.kill) if how == "killed" else LosesAnswer(), method="PUT", target="/manifests/1$")
    held.release()
    assert running.end().code == (-signal.SIGKILL if how == "killed" else 1)
    assert second_registry.digest(f"m/{name}/app", "1") == new.digest
    destination.clear()
    push(registry, f"{name}/app", "1", old)

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert second_registry.digest(f"m/{name}/app", "1") == old.digest
    assert imgsync("apply", "-o", "json").json["summary"]["copied"] == 0


@pytest.mark.row("ST-15")
def test_deletion_that_was_cut_short_is_not_taken_for_undone(registry, second_registry, name, declare, imgsync, start_imgsync, destination):
    """Killed when the registry had deleted a tag and we did not know: selected again, the tag is brought again."""
    wanted = push(registry, f"{name}/app", "1", image(1))
    push(registry, f"{name}/app", "2", image(2))
    declare(f"[{name}/app]", "tags: {names: ['1', '2']}\nprune: true")
    assert imgsync("apply").code == 0
    declare(f"[{name}/app]", "tags: {names: ['2']}\nprune: true")
    held = Hold()
    destination.add(held, method="HEAD", target="/manifests/1$")
    running = Running(start_imgsync("apply"))
    held.reached()
    destination.add(AtStep(1, "answered", running.kill), method="DELETE", target="/manifests/sha256:")
    held.release()
    assert running.end().code == -signal.SIGKILL
    assert second_registry.tags(f"m/{name}/app") == ["2"]
    destination.clear()
    declare(f"[{name}/app]", "tags: {names: ['1', '2']}\nprune: true")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert second_registry.digest(f"m/{name}/app", "1") == wanted.digest


@pytest.mark.row("ST-15")
def test_what_was_collected_at_the_destination_is_brought_again(registry, second_registry, name, declare, imgsync, destination):
    """Blobs that the state says to be there are gone: the registry's refusal is the cue, one run puts all right, and the next has nothing to do."""
    shared = b"shared " * 500
    push(registry, f"{name}/app", "1", image(1, layers=1, shared=shared))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    wanted = push(registry, f"{name}/app", "2", image(2, layers=1, shared=shared))
    for digest in image(1, layers=1, shared=shared).all_blobs:
        assert request(second_registry, "DELETE", f"/v2/m/{name}/app/blobs/{digest}")[0] == 202

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert pull_raw(second_registry, f"m/{name}/app", "2") == wanted.raw
    for digest, content in wanted.all_blobs.items():
        assert request(second_registry, "GET", f"/v2/m/{name}/app/blobs/{digest}")[2] == content
    assert imgsync("apply", "-o", "json").json["summary"]["copied"] == 0


@pytest.fixture
def folder(workplace) -> Path:
    """Return the folder that `opened` opens the workplace's state in."""
    return workplace.folder / ".imgsync"


@pytest.mark.row("ST-16")
def test_forged_records_leave_every_tag_whole(registry, second_registry, name, declare, imgsync, source, destination, folder):
    """A state that lies well, checks and all: what it says to be there may be left out, but what is pushed is complete; --refresh believes nothing."""
    wanted = push(registry, f"{name}/app", "1", image(1))
    pushed = push(registry, f"{name}/app", "2", image(2))
    declare(f"[{name}/app]")
    with opened(folder) as state:
        lie = replace(
            RECORD,
            destination=f"{destination}/m/{name}/app:1",
            digest=wanted.digest,
            crc32=wanted.crc32,
            source=f"{source}/{name}/app:1",
            source_digest=wanted.digest,
            selection="platforms=all;referrers=all",
        )
        state.put([lie], blobs=[(destination.host, f"m/{name}/app", [*pushed.all_blobs, *wanted.all_blobs])])

    assert imgsync("apply", "-o", "json").json["summary"]["copied"] == 1
    assert second_registry.tags(f"m/{name}/app") == ["2"], "what the state forges is not looked for, and nothing half is put there"
    for digest, content in pushed.all_blobs.items():
        assert request(second_registry, "GET", f"/v2/m/{name}/app/blobs/{digest}")[2] == content
    assert imgsync("verify").code == 1
    assert imgsync("apply", "--refresh").code == 0
    assert pull_raw(second_registry, f"m/{name}/app", "1") == wanted.raw
    assert imgsync("verify").code == 0


@pytest.mark.row("ST-17")
def test_state_of_last_week_converges(registry, second_registry, name, declare, imgsync, workplace):
    """A cache that brings back an older state: what it lacks is found at the destination, what moved since is brought in line; the next run asks nothing."""
    push(registry, f"{name}/app", "1", image("old"))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    state = workplace.folder / ".imgsync" / "state"
    shutil.copytree(state, workplace.folder / "kept")
    moved = push(registry, f"{name}/app", "1", image("new"))
    added = push(registry, f"{name}/app", "2", image("added"))
    assert imgsync("apply").code == 0
    shutil.rmtree(state)
    (workplace.folder / "kept").rename(state)

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["bytes_copied"] == 0
    assert [second_registry.digest(f"m/{name}/app", tag) for tag in "12"] == [moved.digest, added.digest]
    assert imgsync("plan", "--detailed-exitcode").code == 0


@pytest.mark.row("ST-19")
@pytest.mark.parametrize("years", [-1, 1])
def test_clock_that_jumped_changes_no_plan(years, registry, name, declare, imgsync, destination, folder):
    """Records of a year ago or of next year are as good as today's: nothing is asked, nothing copied, nothing forgotten."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    moment = datetime.now(UTC) + timedelta(days=365 * years)
    with opened(folder) as state:
        state.put([replace(record, applied_at=format_timestamp(moment)) for record in state.iter_records()])
    execute(folder, ("update Cache set store_time = ?, access_time = ?", (moment.timestamp(), moment.timestamp())))
    destination.forget()

    ran = imgsync("apply", "-o", "json")

    assert (ran.code, ran.json["summary"]["kept"], destination.seen) == (0, 1, [])
    assert "state.degraded" not in ran.stderr
