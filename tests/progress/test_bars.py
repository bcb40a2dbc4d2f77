"""Progress bars and colour on a terminal, on stderr."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys

import pytest

from tests.support.canary import CANARY
from tests.support.images import image

_ESCAPE = "\x1b["


def on_terminal(workplace, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run imgsync on two terminals; return exit code, stdout and stderr."""
    ends = [pty.openpty() for _ in range(2)]
    process = subprocess.Popen(
        [sys.executable, "-m", "imgsync", *arguments],
        cwd=workplace.folder,
        env=workplace.environment({"TERM": "xterm", **environ}),
        stdin=subprocess.DEVNULL,
        stdout=ends[0][1],
        stderr=ends[1][1],
    )
    for _, slave in ends:
        os.close(slave)
    seen = _drained([master for master, _ in ends])
    CANARY.told("".join(seen), " ".join(arguments))
    return process.wait(30), seen[0], seen[1]


def _drained(masters: list[int]) -> list[str]:
    """Read all terminals in parallel, so that none fills up."""
    texts = dict.fromkeys(masters, b"")
    waiting = set(masters)
    while waiting:
        for master in select.select(waiting, [], [])[0]:
            try:
                piece = os.read(master, 1 << 16)
            except OSError:  # Linux says so at the end of a terminal.
                piece = b""
            texts[master] += piece
            if not piece:
                waiting.discard(master)
                os.close(master)
    return [texts[master].decode() for master in masters]


@pytest.fixture
def declared(lab):
    lab.push("app", "1", image(lab.name))
    lab.workplace.allow_plain_http(lab.source_registry, lab.destination_registry)
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{lab.destination_registry}/m"])
    return f"{lab.name}/app:1"


def test_bars_on_stderr_and_the_result_on_stdout(declared, workplace):
    """The result has coloured signs; bars appear and vanish on stderr."""
    code, out, err = on_terminal(workplace, "apply")

    assert code == 0
    assert f"\x1b[32m\x1b[1m+\x1b[0m {declared}" in out
    assert "Copied 1 image" in out
    assert "1 of 1 image" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", err)
    assert "image.copied" not in err


def test_log_lines_are_printed_above_the_bars(declared, workplace):
    """Each begins a line of its own."""
    _, _, err = on_terminal(workplace, "apply", "--log-level", "info", "--log-format", "json")

    lines = [line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", err).splitlines() if "image.copied" in line]
    assert len(lines) == 1
    assert lines[0].lstrip("\r ").startswith("{")


@pytest.mark.parametrize("off", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_no_color_switches_colours_off(off, declared, workplace):
    """So does a dumb terminal."""
    _, out, _ = on_terminal(workplace, "plan", **off)

    assert _ESCAPE not in out
    assert f"+ {declared}" in out


@pytest.mark.parametrize("quiet", [("apply", "--no-progress"), ("apply",)], ids=["--no-progress", "CI"])
def test_no_progress_switches_bars_off(quiet, declared, workplace):
    """So does CI."""
    code, _, err = on_terminal(workplace, *quiet, **({"CI": "true"} if len(quiet) == 1 else {}))

    assert code == 0
    assert "━" not in err


def test_saving_a_plan_prints_the_apply_command(declared, workplace):
    """On stderr, quoted for a shell."""
    code, out, err = on_terminal(workplace, "plan", "--out", "my plan.json")

    assert code == 0
    assert "Saved to my plan.json. Apply it with: imgsync apply --plan 'my plan.json'\r\n" in err
    assert "Saved" not in out
    assert (workplace.folder / "my plan.json").exists()
