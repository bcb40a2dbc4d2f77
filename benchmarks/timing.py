"""Measure one run of a program with the kernel's own figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# A process's peak memory starts with that of its parent, so a small launcher starts the program.
_LAUNCHER = """
import json, os, resource, sys, time
before = time.monotonic()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
wall = time.monotonic() - before
sys.stdout.flush()
figures = {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024, "code": os.waitstatus_to_exitcode(status)}
open(os.environ["FIGURES"], "w").write(json.dumps(figures))
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Wall seconds, CPU seconds, peak MiB of a process, exit code."""

    wall: float
    cpu: float
    peak: float
    code: int


def timed(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str] | None = None) -> Figures:
    """
    Run *command* in the folder *cwd* and return its figures.

    The first word must be a path. The output goes to the files `out` and `err` in that folder.
    """
    figures = cwd / "figures.json"
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    own = {**kept, "HOME": str(cwd), "FIGURES": str(figures), **(environment or {})}
    with (cwd / "out").open("wb") as out, (cwd / "err").open("wb") as err:
        subprocess.run([sys.executable, "-S", "-c", _LAUNCHER, *command], cwd=cwd, env=own, stdout=out, stderr=err, check=True)
    return Figures(**json.loads(figures.read_text()))
