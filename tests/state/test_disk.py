"""The database stores plain values only."""

from __future__ import annotations

import pickle
import sqlite3
from dataclasses import replace

import diskcache
import pytest

from imgsync.errors import StateError
from imgsync.state.disk import PlainDisk
from tests.state.test_store import RECORD, Evil, execute, opened, remember


@pytest.mark.row("ST-01")
@pytest.mark.parametrize("value", [None, True, 1.5, ("a",), {"a": 1}, 2**70, "x" * (1 << 20) + "x"], ids=type)
def test_only_plain_values_are_stored(value, tmp_path):
    """Values that diskcache would pickle or store as files are refused, and keys must be text."""
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
def test_planted_rows_do_nothing_even_without_the_preflight(plant, tmp_path):
    """Nothing is unpickled, and no file is read or deleted."""
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


@pytest.mark.row("ST-03", "ST-04")
def test_records_are_never_culled(tmp_path):
    """A planted size limit is reset, and every record stays."""
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
        assert {record.destination for record in state.iter_records()} == {record.destination for record in (RECORD, *records)}
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
