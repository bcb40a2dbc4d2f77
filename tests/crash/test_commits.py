"""Runs killed at each write of the state, and while a state is created."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys

import pytest

from tests.crash.harness import ROOT
from tests.state.test_store import RECORD, opened
from tests.support.effort import NIGHTLY

# Ends the process before, within or after its so manieth write of the state.
_HOOK = """
import os, signal
import diskcache
from imgsync.state.store import StateStore

writes, write, put = 0, StateStore._write, diskcache.Cache.set

def end_at(when):
    if (writes, when) == ({number}, "{when}"):
        os.kill(os.getpid(), signal.SIGKILL)

def counted(self, values):
    global writes
    writes += bool(values) and self._cache is not None
    end_at("before")
    write(self, values)
    end_at("after")

def put_and_end(*arguments, **options):
    put(*arguments, **options)
    end_at("within")

StateStore._write = counted
diskcache.Cache.set = put_and_end
"""
_EVERY = [(number, when) for number in range(1, 13) for when in ("before", "within", "after")]


@pytest.mark.nightly
def test_killed_around_each_write_of_the_state(new_scene):
    """Reported copies are recorded, records are true, and the next run finishes."""
    for number, (write, when) in enumerate(_EVERY if NIGHTLY else [(3, "within")]):
        scene = new_scene(remembered=number % 2 == 0)
        ran = scene.run_code(_HOOK.format(number=write, when=when))
        scene.check()
        # How many writes there are is for the run to say: what is done at the same time is written together.
        assert ran.code in {0, -signal.SIGKILL} if write > 3 else ran.code == -signal.SIGKILL, ran.stderr
        scene.converge()


# Opens the state of the folder it is given, in a process for each step of SQLite's, and ends that process at the step.
_OPENER = """
import os, signal, sqlite3, sys
from pathlib import Path
from gevent import monkey; monkey.patch_all()
from imgsync.state import open as opening
from tests.state.test_store import opened

def open_until(folder, step):
    count = 0
    connect = sqlite3.connect

    def trace(_statement):
        nonlocal count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(*arguments, **options):
        connection = connect(*arguments, **options)
        connection.set_trace_callback(trace)
        return connection

    sqlite3.connect = traced
    with opened(folder):
        pass
    os._exit(0)

for text in sys.argv[2:]:
    folder = Path(sys.argv[1]) / text
    folder.mkdir()
    pid = os.fork()
    if not pid:
        open_until(folder, int(text))
    print(text, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.nightly
def test_killed_while_a_state_is_created(tmp_path):
    """The next run starts cleanly, moves nothing aside and leaves nothing behind."""
    every = range(1, 140)
    steps = list(every if NIGHTLY else random.Random("making").sample(every[:90], 6))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", _OPENER, str(tmp_path), *map(str, steps)], env=environment, capture_output=True, text=True, check=True)
    codes = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert codes.count(-signal.SIGKILL) >= 6

    for step in steps:
        warnings: list[str] = []
        with opened(tmp_path / str(step), warnings) as state:
            state.put([RECORD])
        assert warnings == []
        assert [path.name for path in (tmp_path / str(step)).iterdir()] == ["state"]
        assert {path.name for path in (tmp_path / str(step) / "state").iterdir()} == {"lock", "cache.db"}
