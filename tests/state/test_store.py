"""The state is a cache that may be lost, damaged or planted."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from imgsync.concurrency.native_thread import NativeThread
from imgsync.errors import LockedError, StateError
from imgsync.state import Record, SeenBlobs, open_state
from imgsync.state.record import decode, encode, from_document, to_document

DIGEST = "sha256:" + "a" * 64
RECORD = Record("r.io/m/app:1", DIGEST, "0123abcd", 10, "application/x", "s.io/app:1", DIGEST, "platforms=all", "2026-01-01T00:00:00Z")


@cache
def thread() -> NativeThread:
    """Return one thread for all; each holds descriptors."""
    return NativeThread()


def opened(folder: Path, warnings: list[str] | None = None, **options):
    return open_state(str(folder / "state"), thread=thread(), lock_timeout_seconds=0, on_warning=(warnings if warnings is not None else []).append, **options)


def remember(folder: Path, *records: Record) -> None:
    with opened(folder) as state:
        state.put(records or [RECORD])


def execute(folder: Path, *statements: tuple) -> None:
    connection = sqlite3.connect(folder / "state" / "cache.db")
    for statement in statements:
        connection.execute(*statement)
    connection.commit()
    connection.close()


def test_unconfirmed_record_stays_unconfirmed():
    """It still shows what was pushed, also after reopening."""
    doubted = RECORD.tainted

    assert [one.is_confirmed for one in (RECORD, replace(RECORD, selection=""), replace(RECORD, selection="zzz"), doubted)] == [True, True, True, False]
    assert replace(doubted, selection=RECORD.selection) == RECORD
    assert decode(doubted.destination, encode(doubted)) == doubted


def test_stored_format_does_not_change():
    """Field names, version and the checksum of eight bytes, to the letter."""
    digest = f"sha256:{'a' * 64}"

    assert encode(replace(RECORD, digest=digest, source_digest=digest)) == (
        f'{{"applied_at":"2026-01-01T00:00:00Z","check":"0018a0a75bb3e70d","crc32":"0123abcd","digest":"{digest}","media_type":"application/x",'
        f'"selection":"platforms=all","size_bytes":10,"source":"s.io/app:1","source_digest":"{digest}","v":1}}'
    )


@pytest.mark.row("ST-05")
@pytest.mark.parametrize(
    "planted",
    [
        {"digest": "sha256:x"},
        {"source_digest": "x"},
        {"digest": 5},
        {"size_bytes": True},
        {"size_bytes": "10"},
        {"size_bytes": 1.0},
        {"source": None},
        {"media_type": ["a"]},
    ],
    ids=str,
)
def test_record_with_wrong_fields_is_dropped(planted):
    """Even with a matching checksum: digests become parts of URLs."""
    document = to_document(replace(RECORD, **planted))

    assert from_document(RECORD.destination, document) is None


def test_records_are_read_back(tmp_path):
    """By reference and by prefix, after closing; removed ones are gone."""
    other = replace(RECORD, destination="r.io/m/app:2")
    remember(tmp_path, RECORD, other)

    with opened(tmp_path) as state:
        assert state.get(RECORD.destination) == RECORD
        assert list(state.iter_records("r.io/")) == [RECORD, other]
        assert state.remove([RECORD.destination, "unknown"]) == 1
    with opened(tmp_path) as state:
        assert state.get(RECORD.destination) is None


def test_blobs_are_recorded_in_up_to_four_repositories(tmp_path):
    """The latest first."""
    with opened(tmp_path) as state:
        for path in ("a", "b", "c", "d", "e", "b"):
            state.put(blobs=[SeenBlobs("r.io", path, "", {DIGEST: None})])
    with opened(tmp_path) as state:
        assert state.find_blob_repositories("r.io", DIGEST) == ("b", "e", "d", "c")
        assert state.find_blob_repositories("other.io", DIGEST) == ()


@pytest.mark.row("ST-07")
def test_one_file_is_complete_after_closing(tmp_path):
    """Only cache.db needs to be kept between runs."""
    remember(tmp_path)
    for extra in ("cache.db-wal", "cache.db-shm", "lock"):
        (tmp_path / "state" / extra).unlink(missing_ok=True)

    with opened(tmp_path) as state:
        assert state.get(RECORD.destination) == RECORD


@pytest.mark.row("ST-05")
@pytest.mark.parametrize("position", range(0, 200, 7))
def test_flipped_bit_drops_the_record(position):
    """A record with a flipped bit is dropped."""
    text = encode(RECORD)
    flipped = text[:position] + chr(ord(text[position]) ^ 1) + text[position + 1 :]

    assert decode(RECORD.destination, flipped) is None
    assert decode("another.io/x:1", text) is None


@pytest.mark.parametrize("text", ["", "[]", "null", '{"check": 1}', "[" * 100_000, 5, b"x", json.dumps({"v": 2, "check": ""})])
def test_other_values_are_not_records(text):
    """Any other value in a record's place is dropped."""
    assert decode(RECORD.destination, text) is None


@pytest.mark.row("ST-05")
def test_damaged_records_are_dropped_with_a_warning(tmp_path):
    """A damaged row costs that record alone."""
    remember(tmp_path, RECORD, replace(RECORD, destination="r.io/m/app:2"))
    execute(tmp_path, ("update Cache set value = replace(value, 'aaaa', 'aaab') where key like '%:2'",))
    warnings: list[str] = []

    with opened(tmp_path, warnings) as state:
        assert [record.destination for record in state.iter_records()] == [RECORD.destination]
    assert "dropped 1 damaged record from the state" in warnings[0]


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.row("ST-01", "ST-02", "ST-03")
@pytest.mark.parametrize(
    "plant",
    [
        lambda flag, victim: ("update Cache set mode = 4, value = ?", (pickle.dumps(Evil(flag)),)),
        lambda flag, victim: ("update Cache set raw = 0, key = ?", (pickle.dumps(Evil(flag)),)),
        lambda flag, victim: ("update Cache set mode = 2, value = null, filename = ?", (str(victim),)),
        lambda flag, victim: ("update Cache set filename = ?", (str(victim),)),
        lambda flag, victim: ("create trigger t after insert on Cache begin delete from Cache; end",),
        lambda flag, victim: ("insert into Settings values ('sqlite_temp_store_directory', '/')",),
        lambda flag, victim: ("update Cache set expire_time = 1",),
        lambda flag, victim: ("create view v as select * from Cache",),
        lambda flag, victim: ("drop table Settings",),
    ],
    ids=["pickled value", "pickled key", "file read", "file delete", "trigger", "setting", "expiry", "view", "no settings"],
)
def test_planted_databases_are_moved_aside(plant, tmp_path):
    """Nothing planted is executed, no file is touched, and a new state begins with a warning."""
    remember(tmp_path)
    flag, victim = tmp_path / "flag", tmp_path / "victim"
    victim.write_text("precious")
    execute(tmp_path, plant(flag, victim))
    warnings: list[str] = []

    with opened(tmp_path, warnings) as state:
        assert list(state.iter_records()) == []
        state.put([RECORD])
        assert state.get(RECORD.destination) == RECORD

    assert "moved it aside to state.broken-" in warnings[0]
    assert not flag.exists()
    assert victim.read_text() == "precious"
    assert list(tmp_path.glob("state.broken-*/cache.db"))


@pytest.mark.row("ST-06")
@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, "half", "zeroed"])
def test_broken_files_are_moved_aside(content, tmp_path):
    """A damaged database costs requests, not correctness."""
    remember(tmp_path)
    path = tmp_path / "state" / "cache.db"
    whole = path.read_bytes()
    path.write_bytes({"half": whole[: len(whole) // 2], "zeroed": whole[:4096] + bytes(4096) + whole[8192:]}.get(content, content))
    warnings: list[str] = []

    with opened(tmp_path, warnings) as state:
        assert list(state.iter_records()) == []
    assert "the state is damaged" in warnings[0]


@pytest.mark.row("ST-12")
def test_second_run_is_locked_out(tmp_path):
    """Two runs never share a state; reading it is allowed."""
    remember(tmp_path)
    with opened(tmp_path), pytest.raises(LockedError, match="locked by another run"), opened(tmp_path):
        pass
    with opened(tmp_path), opened(tmp_path, read_only=True) as state:
        assert state.get(RECORD.destination) == RECORD


def test_reading_leaves_nothing_behind(tmp_path):
    """A plan makes no directory and no file."""
    with opened(tmp_path, read_only=True) as state:
        assert state.get("x") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.row("ST-13")
def test_directories_that_others_may_write_are_refused(tmp_path):
    """A state that others could plant is not used."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    with pytest.raises(StateError, match="others can write to"), opened(tmp_path):
        pass
    (tmp_path / "link").symlink_to(tmp_path)
    with (
        pytest.raises(StateError, match="is not a directory"),
        open_state(str(tmp_path / "link"), thread=NativeThread(), lock_timeout_seconds=0, on_warning=print),
    ):
        pass


@pytest.mark.row("ST-13")
def test_directory_and_database_are_private(tmp_path):
    """Directory 0700, database 0600."""
    remember(tmp_path)

    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "cache.db").stat().st_mode & 0o077 == 0


@pytest.mark.row("ST-11")
def test_read_only_state_is_still_read(tmp_path, monkeypatch):
    """Records still count, new ones are dropped, a warning says so."""
    remember(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(fcntl, "flock", refuse)
    warnings: list[str] = []
    with opened(tmp_path, warnings) as state:
        assert state.get(RECORD.destination) == RECORD
        assert not state.is_persistent
        state.put([replace(RECORD, destination="r.io/m/app:2")])
    monkeypatch.undo()

    assert "Read-only file system" in warnings[0]
    with opened(tmp_path) as state:
        assert [record.destination for record in state.iter_records()] == [RECORD.destination]


WRITER = """
import sys
from gevent import monkey; monkey.patch_all()
from dataclasses import replace
from tests.state.test_store import RECORD, opened
from pathlib import Path
with opened(Path(sys.argv[1])) as state:
    for number in range(100000):
        state.put([replace(RECORD, destination=f"r.io/m/app:{number}")])
        print(number, flush=True)
"""


def test_killed_run_loses_no_confirmed_record(tmp_path):
    """After SIGKILL every record that put() returned from is there, and the lock is free."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2], env=os.environ)
    for _ in range(40):
        last = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    last = max([last, *(int(line) for line in writer.stdout.read().splitlines() if line.isdigit())])
    writer.wait(10)

    with opened(tmp_path) as state:
        assert {f"r.io/m/app:{number}" for number in range(last + 1)} <= {record.destination for record in state.iter_records()}
