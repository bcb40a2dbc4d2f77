"""Planted and damaged databases are moved aside before they are opened."""

from __future__ import annotations

import contextlib
import os
import pickle
import sqlite3
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.state.test_store import RECORD, execute, opened, remember


@pytest.mark.row("GIT-07")
@pytest.mark.parametrize("planting", ["update Cache set mode = 4, value = ?", "no database"])
def test_poisoned_cache_costs_only_requests(planting, lab, origin):
    """A manipulated state from a CI cache is moved aside with a warning; nothing of it runs."""
    assert lab.run("apply").code == 0
    state = lab.folder / ".imgsync/state"
    if planting == "no database":
        (state / "cache.db").write_bytes(b"not a database")
    else:
        with contextlib.closing(sqlite3.connect(state / "cache.db")) as database, database:
            database.execute(planting + " where rowid = (select min(rowid) from Cache)", (pickle.dumps(_Evil(str(lab.folder / "evil"))),))
    lab.destination.forget()

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert not (lab.folder / "evil").exists()
    assert ran.events("state.degraded")
    assert (ran.json["summary"]["copied"], ran.json["summary"]["kept"]) == (0, 2)
    assert {one.method for one in lab.destination.seen} == {"HEAD"}
    assert sorted(lab.served_tags("app")) == ["1", "2"]


class _Evil:
    """A value that creates a file when it is unpickled."""

    def __init__(self, file: str) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (self._file, "w")


@pytest.mark.row("ST-02", "ST-13")
@pytest.mark.parametrize("part", ["lock", "cache.db", "cache.db-wal", "cache.db-shm", "cache.db-journal"])
@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_links_in_the_state_are_not_followed(link, part, tmp_path):
    """A state whose file is a link is moved aside or not used; the link's target stays as it was."""
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
def test_database_that_others_may_write_is_moved_aside(mode, tmp_path):
    """Even if the directory is private."""
    remember(tmp_path)
    (tmp_path / "state" / "cache.db").chmod(mode)
    warnings: list[str] = []

    with opened(tmp_path, warnings) as state:
        assert list(state.iter_records()) == []
    assert "is not a regular file that only this user can write" in warnings[0]


@pytest.mark.row("ST-03")
@pytest.mark.parametrize("value", ["wal; attach '/x' as y", "off -- ", None, 1.5, b"wal"])
def test_planted_setting_is_not_run_as_sql(value, tmp_path):
    """diskcache would put the setting into a PRAGMA."""
    remember(tmp_path)
    execute(tmp_path, ("update Settings set value = ? where key = 'sqlite_journal_mode'", (value,)))
    warnings: list[str] = []

    with opened(tmp_path, warnings) as state:
        assert list(state.iter_records()) == []
    assert "its settings differ" in warnings[0]
