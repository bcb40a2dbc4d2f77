"""helm and kubectl are bounded: time, output, memory, environment, processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from imgsync.discover.run_tool import DEFAULT_LIMITS, ToolError, ToolLimits, clean_stderr, find_tool, run_tool
from tests.support.workflow_scripts import program

ROOT = Path(__file__).parents[2]


def script(folder: Path, text: str) -> str:
    """Write a program named helm that runs *text*, and return its path."""
    return str(program(folder, "helm", f"#!/bin/sh\nPATH=/usr/bin:/bin\n{text}\n") / "helm")


def wait_until_gone(pid: int) -> None:
    """Return when the process has ended; a zombie has."""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.01)
    raise AssertionError(f"the process {pid} still runs")


def test_output_of_the_program_is_returned(tmp_path):
    """Whole, with its arguments as they are."""
    assert run_tool(script(tmp_path, 'printf "%s|" "$@"'), ["template", "a b", "$HOME"]) == b"template|a b|$HOME|"


@pytest.mark.row("DISC-01")
def test_program_that_hangs_is_stopped(tmp_path):
    """With the processes that it started."""
    helm = script(tmp_path, f"sleep 600 & echo $! > {tmp_path}/pid; wait")

    with pytest.raises(ToolError, match="did not end within"):
        run_tool(helm, [], limits=replace(DEFAULT_LIMITS, seconds=0.3))

    # Under load it may be stopped before it started another.
    with contextlib.suppress(FileNotFoundError, ValueError):
        wait_until_gone(int((tmp_path / "pid").read_text()))


@pytest.mark.row("DISC-01")
def test_program_that_closes_its_output_and_hangs_is_stopped(tmp_path):
    """The time limit counts until it ends."""
    with pytest.raises(ToolError, match="did not end within"):
        run_tool(script(tmp_path, "exec sleep 600 >&- 2>&-"), [], limits=replace(DEFAULT_LIMITS, seconds=0.3))


@pytest.mark.row("DISC-02")
@pytest.mark.parametrize("text", ["yes", "yes >&2 & yes"])
def test_endless_output_is_stopped(text, tmp_path):
    """It is not kept either: no more than the limit is in memory."""
    with pytest.raises(ToolError, match=r"helm printed more than 1\.0 MiB and was stopped"):
        run_tool(script(tmp_path, text), [], limits=replace(DEFAULT_LIMITS, output_bytes=1 << 20))


@pytest.mark.row("DISC-02")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of another process")
def test_endless_memory_is_stopped(tmp_path):
    """The error says so."""
    text = f"exec {sys.executable} -c 'import sys\ntry:\n    bytes(1 << 30)\nexcept MemoryError:\n    sys.exit(\"fatal error: out of memory\")'"

    with pytest.raises(ToolError, match=r"helm needed more than 512\.0 MiB of memory"):
        # The limit is set after the start: the program waits for it.
        run_tool(script(tmp_path, f'while [ "$(ulimit -v)" = unlimited ]; do sleep 0.01; done; {text}'), [], limits=ToolLimits(memory_bytes=512 << 20))


@pytest.mark.row("DISC-03")
def test_environment_is_empty(tmp_path, monkeypatch):
    """No credential, no plugin, no home, no git; requests lead nowhere."""
    for name in ("AWS_SECRET_ACCESS_KEY", "HELM_PLUGINS", "HELM_REPOSITORY_CONFIG", "KUBECONFIG", "DOCKER_CONFIG", "GITHUB_TOKEN", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, "of the user")
    helm = str(program(tmp_path, "helm", "#!/bin/sh\nexport -p\ncommand -v git\nls -A $HOME\n") / "helm")

    with pytest.raises(ToolError) as caught:
        run_tool(helm, [])
    found = run_tool(str(program(tmp_path / "ok", "helm", "#!/bin/sh\nexport -p\n") / "helm"), []).decode()

    assert "of the user" not in found
    assert "KUBECONFIG='/dev/null'" in found
    assert "HTTPS_PROXY='http://127.0.0.1:9'" in found
    assert "ls: " in caught.value.stderr  # not even that is on its PATH
    home = next(line for line in found.splitlines() if line.startswith("export HOME=")).partition("=")[2].strip("'")
    assert not Path(home).exists()


@pytest.mark.row("DISC-03")
def test_program_in_a_relative_folder_is_not_run(tmp_path, monkeypatch):
    """A checkout could have one."""
    script(tmp_path, "echo no")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ToolError, match="helm is not on PATH; imgsync needs it to render charts"):
        find_tool("helm", path=f".{os.pathsep}{os.pathsep}bin", needed_for="render charts")
    assert find_tool("helm", path=str(tmp_path), needed_for="render charts") == str(tmp_path / "helm")


def test_program_that_cannot_be_run_is_an_error(tmp_path):
    """Such as one for another machine."""
    helm = program(tmp_path, "helm", "\x7fELF") / "helm"

    with pytest.raises(ToolError, match="helm cannot be run: Exec format error"):
        run_tool(str(helm), [])


def test_failure_keeps_the_beginning_of_stderr(tmp_path):
    """It is bounded."""
    with pytest.raises(ToolError, match="helm failed with exit code 3") as caught:
        run_tool(script(tmp_path, "echo first >&2; yes | head -c 3000000 >&2; exit 3"), [])

    assert caught.value.stderr.startswith("first\ny\n")
    assert len(caught.value.stderr) == 1 << 20


@pytest.mark.row("DISC-05")
def test_stderr_is_cleaned():
    """One line of plain characters."""
    text = "\x1b]0;title\x07WARNING: x\n\x1b[31mError: a\x1b[0m \u202e\x00b\n\n  c\nUse --debug flag\n" + "d" * 10_000

    cleaned = clean_stderr(text)

    assert cleaned.isprintable()
    assert "\x1b" not in cleaned
    assert len(cleaned) < 1000
    assert clean_stderr("") == "no message"


@pytest.mark.row("DISC-01")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_program_too(number, tmp_path):
    """Ctrl-C leaves no helm behind."""
    helm = script(tmp_path, f"echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; exec sleep 600")
    code = f"from imgsync.system.early_signals import end_at_signal\nend_at_signal()\nfrom imgsync.discover.run_tool import run_tool\nrun_tool({helm!r}, [])"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    ends = time.monotonic() + 30
    while not (tmp_path / "pid").exists() and time.monotonic() < ends:
        time.sleep(0.01)

    process.send_signal(number)

    assert process.wait(30) == 75
    wait_until_gone(int((tmp_path / "pid").read_text()))
