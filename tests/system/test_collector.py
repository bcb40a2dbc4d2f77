"""Garbage is collected rarely during the start, and as usual in a session."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PROGRAM = """
import gc, json, sys
usual = gc.get_threshold()
runs = []
gc.callbacks.append(lambda phase, _: runs.append(phase))
from imgsync.system.collector import collect_as_usual, collect_rarely
collect_rarely()
runs.clear()
import imgsync.cli.apply_run, imgsync.cli.session, imgsync.config.load
during = len(runs)
collect_as_usual()
print(json.dumps([during, gc.get_threshold() == usual, gc.get_freeze_count() > 10_000, gc.isenabled()]))
"""


def test_start_collects_nothing_and_a_session_as_usual():
    """What was imported is never looked at again."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    assert json.loads(done.stdout) == [0, True, True, True]
