"""Signals before the session handles them, also for process 1."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.row("RUN-16")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("as_first", [False, True], ids=["", "as process 1"])
def test_signal_before_the_session_ends_the_program(number, as_first, workplace):
    """Exit 75: nothing has begun. The kernel would drop SIGTERM for process 1."""
    prefix = ["unshare", "--pid", "--fork"] if as_first else []
    if prefix and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no process namespace")
    settings = workplace.folder / "registries.yaml"
    os.mkfifo(settings)
    command = [*prefix, sys.executable, "-m", "imgsync", "list", "registry.example/app"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # `open` returns when the program opens the file to read its settings.
    with subprocess.Popen(command, cwd=workplace.folder, env=workplace.environment(), text=True, **pipes) as process, settings.open("w"):
        os.kill(_children(process.pid)[0] if as_first else process.pid, number)
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out, err) == (75, "", "")
