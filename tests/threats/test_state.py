"""The state as a threat: damaged, planted, old, full or not to be written; it may cost requests, never correctness (ST-01 to ST-19)."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import diskcache
import pytest

from imgsync.errors import StateError
from imgsync.state import preflight
from imgsync.state.disk import PlainDisk
from imgsync.state.record import decode, decode_note, encode, encode_note, to_document
from imgsync.text.units import format_timestamp
from tests.crash.harness import Running
from tests.state.test_store import DIGEST, RECORD, Evil, execute, opened, remember
from tests.support.images import image, pull_raw, push, request
from tests.support.run_imgsync import finish
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


@pytest.mark.row("ST-01")
@pytest.mark.parametrize("value", [None, True, 1.5, ("a",), {"a": 1}, 2**70, "x" * (1 << 20) + "x"], ids=type)
def test_nothing_is_stored_but_plain_values(value, tmp_path):
    """What diskcache would pickle, or put into a file, is refused; so are keys that are no text."""
    with diskcache.Cache(str(tmp_path), disk=PlainDisk) as cache:
        with pytest.raises((StateError, OverflowError)):
            cache.set("key", value)
        with pytest.raises(StateError):
            cache.set(value, "value")
        assert len(cache) == 0


@pytest.mark.row("ST-01", "ST-02")
@pytest.mark.parametrize(
    "plant",
    [
        ("update Cache set mode = 4, value = :pickle",),
        ("update Cache set raw = 0, key = :pickle",),
        ("update Cache set mode = 2, value = null, filename = :victim",),
        ("update Cache set mode = 3, value = null, filename = :victim",),
        ("update Cache set filename = :victim",),
    ],
    ids=["pickled value", "pickled key", "file read as bytes", "file read as text", "file to delete"],
)
def test_planted_rows_do_nothing_though_the_look_before_missed_them(plant, tmp_path):
    """The second wall: opened all the same, nothing is unpickled, no file is read or deleted, whatever is asked of the database."""
    flag, victim = tmp_path / "flag", tmp_path / "victim"
    victim.write_text("precious")
    remember(tmp_path)
    connection = sqlite3.connect(tmp_path / "state" / "cache.db")
    connection.execute(plant[0], {"pickle": pickle.dumps(Evil(flag)), "victim": str(victim)})
    connection.commit()
    connection.close()

    with diskcache.Cache(str(tmp_path / "state"), disk=PlainDisk) as cache:
        for act in (
            lambda: cache.get(RECORD.destination),
            lambda: list(cache),
            lambda: cache.set(RECORD.destination, "x"),
            lambda: cache.delete(RECORD.destination),
        ):
            try:
                found = act()
            except (StateError, diskcache.Timeout):
                continue
            assert "precious" not in str(found)

    assert not flag.exists()
    assert victim.read_text() == "precious"


@pytest.mark.row("ST-02", "ST-13")
@pytest.mark.parametrize("part", ["lock", "cache.db", "cache.db-wal", "cache.db-shm", "cache.db-journal"])
@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_links_in_the_state_lead_nowhere(link, part, tmp_path):
    """A file of ours that is a link to another would have SQLite write into that: it is set aside, or not used, and the other is as it was."""
    remember(tmp_path)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious" * 4096)
    (tmp_path / "state" / part).unlink(missing_ok=True)
    link(victim, tmp_path / "state" / part)
    warnings: list[str] = []

    with opened(tmp_path, warnings) as state:
        state.put([replace(RECORD, destination=f"r.io/m/app:{number}") for number in range(50)])

    assert victim.read_bytes() == b"precious" * 4096
    assert warnings or part == "lock"
    with opened(tmp_path, read_only=True):
        pass
    assert victim.read_bytes() == b"precious" * 4096


@pytest.mark.row("ST-13")
@pytest.mark.parametrize("mode", [0o666, 0o620])
def test_database_that_others_may_write_is_set_aside(mode, tmp_path):
    """The directory may be ours alone to write, and the file not."""
    remember(tmp_path)
    (tmp_path / "state" / "cache.db").chmod(mode)
    warnings: list[str] = []

    with opened(tmp_path, warnings) as state:
        assert list(state.records()) == []
    assert "not a plain file of ours alone" in warnings[0]


@pytest.mark.row("ST-03")
@pytest.mark.parametrize("value", ["wal; attach '/x' as y", "off -- ", None, 1.5, b"wal"])
def test_planted_value_of_a_setting_becomes_no_pragma(value, tmp_path):
    """diskcache makes SQL of them, before ours replace them."""
    remember(tmp_path)
    execute(tmp_path, ("update Settings set value = ? where key = 'sqlite_journal_mode'", (value,)))
    warnings: list[str] = []

    with opened(tmp_path, warnings) as state:
        assert list(state.records()) == []
    assert "settings that are not ours" in warnings[0]


@pytest.mark.row("ST-03", "ST-04")
def test_nothing_is_ever_culled_or_expires(tmp_path):
    """Though the file says that it may hold a byte, and drops the oldest: every record stays, and the settings are ours again."""
    remember(tmp_path)
    planted = {
        "size_limit": 1,
        "cull_limit": 1000,
        "eviction_policy": "least-recently-stored",
        "statistics": 1,
        "sqlite_mmap_size": 1 << 26,
        "sqlite_synchronous": 0,
    }
    execute(tmp_path, *(("update Settings set value = ? where key = ?", (value, key)) for key, value in planted.items()))
    records = [replace(RECORD, destination=f"r.io/m/app:{number}") for number in range(2000)]

    for begin in range(0, len(records), 500):
        with opened(tmp_path) as state:
            state.put(records[begin : begin + 500])

    with opened(tmp_path) as state:
        assert {record.destination for record in state.records()} == {record.destination for record in (RECORD, *records)}
    connection = sqlite3.connect(tmp_path / "state" / "cache.db")
    settings = dict(connection.execute("select key, value from Settings"))
    assert connection.execute("select count(*) from Cache where expire_time is not null").fetchone() == (0,)
    connection.close()
    assert {key: settings[key] for key in planted} == {
        "size_limit": 2**62,
        "cull_limit": 0,
        "eviction_policy": "none",
        "statistics": 0,
        "sqlite_mmap_size": 0,
        "sqlite_synchronous": 2,
    }


@pytest.mark.row("ST-05")
def test_every_flipped_byte_of_a_record_and_of_a_note_is_found(tmp_path):
    """Each byte, each of its bits: what was not written is not believed, be it no text any more; the others are, and the next run is told."""
    record, note, about = encode(RECORD).encode(), encode_note(f"seen s.io/app {DIGEST}", "2026-01-01T00:00:00Z").encode(), f"seen s.io/app {DIGEST}"
    for raw, read in ((record, lambda text: decode(RECORD.destination, text)), (note, lambda text: decode_note(about, text))):
        assert read(raw.decode()) is not None
        for position, bit in ((position, bit) for position in range(len(raw)) for bit in range(8)):
            flipped = bytearray(raw)
            flipped[position] ^= 1 << bit
            assert read(flipped.decode("utf-8", "replace")) is None

    remember(tmp_path, RECORD, replace(RECORD, destination="r.io/m/app:2"))
    execute(tmp_path, ("update Cache set value = cast(cast(x'ff' as text) || value as text) where key like '%:2'",))
    warnings: list[str] = []
    with opened(tmp_path, warnings) as state:
        assert [one.destination for one in state.records()] == [RECORD.destination]
    assert "1 damaged records were dropped" in warnings[0]


@pytest.mark.row("ST-08", "ST-12")
def test_of_many_at_once_one_runs(registry, name, declare, imgsync, start_imgsync, source, workplace):
    """The others end with 75 and do nothing; so the database never has two that write, which SQLite's log would not stand."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    held = Hold()
    source.add(held, target="/blobs/")
    first = start_imgsync("apply")
    held.reached()

    others = [start_imgsync("apply") for _ in range(6)]
    ends = [finish(other, 60) for other in others]
    held.release()

    assert [end.code for end in ends] == [75] * 6
    assert all("locked by another run" in end.stderr for end in ends)
    assert finish(first).code == 0
    assert imgsync("apply", "-o", "json").json["summary"]["kept"] == 1


@pytest.mark.row("ST-09")
def test_network_file_system_is_told(tmp_path, monkeypatch):
    """A lock may not hold there: the warning says so, and where to keep the state instead; it is used all the same, as a wrong one costs requests alone."""
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
        assert state.record(RECORD.destination) == RECORD
    assert len(warnings) == 1


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


@pytest.mark.row("ST-16")
@pytest.mark.parametrize(
    "change", [{"digest": "sha256:" + "b" * 64}, {"source_digest": "sha256:" + "b" * 64}, {"selection": "x"}, {"destination": "r.io/m/app:2"}]
)
def test_record_counts_only_where_and_as_it_was_written(change, tmp_path):
    """Its check binds registry, repository, tag, digests and settings: a record that was moved or altered is none."""
    text = encode(RECORD)
    altered = replace(RECORD, **change)
    document = json.loads(text) | {key: value for key, value in to_document(altered).items() if key not in {"check", "v"}}

    assert decode(RECORD.destination, text) == RECORD
    assert decode(altered.destination, json.dumps(document)) is None


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


@pytest.mark.row("ST-18")
def test_state_of_a_later_version_costs_requests_alone(tmp_path):
    """Records of a version that we do not know are dropped, kinds that we do not know are passed over and kept, another structure is set aside."""
    remember(tmp_path)
    later = json.dumps(json.loads(encode(RECORD)) | {"v": 2})
    execute(tmp_path, ("update Cache set value = ?", (later,)))
    execute(tmp_path, ("insert into Cache (key, raw, mode, value) values ('future about', 1, 1, 'what we do not know')",))
    warnings: list[str] = []
    with opened(tmp_path, warnings) as state:
        assert list(state.records()) == []
        state.put([RECORD])
    assert len(warnings) == 1
    connection = sqlite3.connect(tmp_path / "state" / "cache.db")
    assert connection.execute("select value from Cache where key = 'future about'").fetchone() == ("what we do not know",)
    connection.close()

    execute(tmp_path, ("alter table Cache add column future",))
    with opened(tmp_path, warnings) as state:
        assert list(state.records()) == []
    assert "another structure" in warnings[1]


@pytest.mark.row("ST-19")
@pytest.mark.parametrize("years", [-1, 1])
def test_clock_that_jumped_changes_no_plan(years, registry, name, declare, imgsync, destination, folder):
    """Records of a year ago or of next year are as good as today's: nothing is asked, nothing copied, nothing forgotten."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    moment = datetime.now(UTC) + timedelta(days=365 * years)
    with opened(folder) as state:
        state.put([replace(record, applied_at=format_timestamp(moment)) for record in state.records()])
    execute(folder, ("update Cache set store_time = ?, access_time = ?", (moment.timestamp(), moment.timestamp())))
    destination.forget()

    ran = imgsync("apply", "-o", "json")

    assert (ran.code, ran.json["summary"]["kept"], destination.seen) == (0, 1, [])
    assert "state.degraded" not in ran.stderr
