"""Help, usage, exit codes, the README, the demo."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from imgsync.cli import cli
from tests.support.canary import run_watched, secrets_in
from tests.support.run_imgsync import finish

ROOT = Path(__file__).parents[2]


def run(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:

    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "LANG": "C.UTF-8", **environ}
    return run_watched([sys.executable, "-m", "imgsync", *arguments], cwd=cwd, env=env)


@pytest.mark.parametrize("arguments", [["--nonsense"], ["nonsense"], ["plan", "--nonsense"], ["plan", "-o", "xml"], ["apply", "--grace", "soon"], []])
def test_usage_errors_exit_three(arguments, tmp_path):
    """Wrong usage exits with 3, not with click's 2, which means pending changes."""
    done = run(*arguments, cwd=tmp_path)

    assert done.returncode == 3
    assert done.stdout == ""


def test_missing_folder_is_an_error(tmp_path):
    """Without mirrors.d there is nothing to do."""
    done = run("plan", cwd=tmp_path)

    assert done.returncode == 3
    assert "mirrors.d: no such file or folder (`imgsync init` creates one with all that it needs, or name a folder or a file)" in done.stderr


def test_errors_are_annotations_in_github_actions(tmp_path):
    """GitHub shows each error beside its line."""
    (tmp_path / "mirrors.d").mkdir()
    (tmp_path / "mirrors.d" / "a.yaml").write_text("version: 2\n")

    done = run("validate", cwd=tmp_path, GITHUB_ACTIONS="true")

    assert "::error file=mirrors.d/a.yaml,line=1,col=10,title=imgsync::version: expected 1, got 2" in done.stderr
    assert "1 error in 1 file\n" in done.stderr


def test_options_have_environment_variables(tmp_path):
    """Every option has its IMGSYNC_ variable."""
    (tmp_path / "mirrors.d").mkdir()
    (tmp_path / "mirrors.d" / "a.yaml").write_text("version: 1\nmirrors: [{name: a, source: r.io/x, destinations: [r.io/m]}]\n")

    assert "source:" in run("validate", cwd=tmp_path, IMGSYNC_SHOW="1").stdout
    assert "no mirror has this name" in run("validate", cwd=tmp_path, IMGSYNC_ONLY="b").stderr


def test_common_options_are_common(tmp_path):
    """`validate` accepts the common options of plan and apply."""
    (tmp_path / "mirrors.d").mkdir()
    (tmp_path / "mirrors.d" / "a.yaml").write_text("version: 1\nmirrors: [{name: a, source: r.io/x, destinations: [r.io/m]}]\n")
    common = ["--state", "s", "--log-level", "debug", "--log-format", "json", "--no-progress", "--run-timeout", "5m", "--only", "a"]

    assert run("validate", *common, cwd=tmp_path).returncode == 0
    for command in ("plan", "apply", "copy", "list"):
        shown = run(command, "--help", cwd=tmp_path).stdout
        assert all(option in shown for option in common if option.startswith("--") and (option != "--only" or command in {"plan", "apply"}))


def test_closed_pipe_is_not_an_error(tmp_path):
    """`imgsync schema | head -1` ends silently."""
    done = subprocess.run(f"{sys.executable} -m imgsync schema | head -1", shell=True, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_readme_shows_the_help_as_it_is(tmp_path):
    """The README's --help block is what the program prints."""
    block = re.search(r"```text\n(Usage: imgsync .*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    assert block is not None
    assert block.group(1) == run("--help", cwd=tmp_path, COLUMNS="80").stdout


def test_demo_runs_and_leaves_nothing(tmp_path):
    """It checks each of its steps."""
    done = run("demo", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "a second plan that was empty and sent the destination no request" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_served_demo_is_enough_for_a_first_mirror(workplace):
    """The commands that it shows make one; Ctrl-C ends it."""
    served = workplace.start("demo", "--serve", "--port", "0")
    shown = [line.strip() for line in itertools.takewhile(lambda line: "imgsync apply" not in line, served.stdout)]
    try:
        init = next(line for line in shown if line.startswith("imgsync init")).split()[1:]
        ran = [workplace.run(*init), *(workplace.run(command, cwd=workplace.folder / init[1]) for command in ("apply", "verify"))]
    finally:
        served.send_signal(signal.SIGINT)

    assert [done.code for done in (*ran, finish(served))] == [0, 0, 0, 0]
    assert "Copied 2 images" in ran[1].stdout


def test_served_demo_says_that_its_port_is_in_use(workplace):
    """And how to choose another one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = workplace.run("demo", "--serve", "--port", str(taken.getsockname()[1]))

    assert done.code == 3
    assert "hint: choose another one with --port" in done.stderr


@pytest.mark.parametrize("arguments", [["--serve", "--directory", "files"], ["--port", "5000"]])
def test_demo_refuses_options_that_have_no_effect(arguments, workplace):
    """Nothing runs."""
    done = workplace.run("demo", *arguments)

    assert (done.code, done.stdout) == (3, "")


@pytest.mark.parametrize("place", ["x" * 5000, "mirrors.d/a.yaml/x"], ids=["too long", "below a file"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "PLACE"],
        ["plan", "--registries", "PLACE"],
        ["plan", "--state", "PLACE/state"],
        ["plan", "--out", "PLACE/plan.json"],
        ["apply", "PLACE/plan.json"],
        ["state", "export", "--state", "PLACE", "-"],
        ["state", "export", "PLACE/state.jsonl"],
        ["state", "import", "PLACE/state.jsonl"],
        ["login-check", "PLACE"],
        ["convert", "PLACE"],
    ],
    ids=" ".join,
)
def test_impossible_path_is_an_error(arguments, place, lab):
    """The operating system's reason, never a traceback."""
    lab.declare("app")

    ran = lab.run(*(argument.replace("PLACE", place) for argument in arguments))

    assert ran.code == (1 if "--state" in arguments else 3), ran.stderr


_BUG = """
import sys
from imgsync.__main__ import _patch_sockets
_patch_sockets()
from imgsync import cli
from imgsync.oci.auth import authenticator as auth
def broken(login):
    secret = login.password
    raise RuntimeError(f"cannot encode {login} {secret!r} {secret} {auth.base64.b64encode((login.username + ':' + secret).encode()).decode()}")
auth._format_basic = broken
sys.exit(cli.run(sys.argv[1:]))
"""


@pytest.mark.row("CFG-08")
def test_bug_in_credential_code_shows_no_secret(password_registry, workplace):
    """Exit 70 with a traceback, without values of variables."""
    workplace.allow_plain_http(password_registry, settings={password_registry.host: {"credentials": {"username": "robot", "password": "it's\\x-SECRET"}}})
    workplace.mirror("a", source=f"{password_registry}/x", destinations=[f"{password_registry}/m"])

    done = subprocess.run(
        [sys.executable, "-c", _BUG, "plan", "--log-format", "json", "--log-level", "debug"],
        cwd=workplace.folder,
        env=workplace.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 70, done.stderr
    assert "RuntimeError: cannot encode" in done.stderr
    assert "This is a bug in imgsync" in done.stderr
    assert secrets_in(done.stdout + done.stderr) == []


@pytest.mark.row("CFG-09")
def test_no_option_takes_a_secret():
    """Command lines are visible to every process of the machine."""
    names: set[str] = set()

    def look(command: click.Command, context: click.Context) -> None:
        names.update(name for one in command.params for name in (*one.opts, *one.secondary_opts))
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                look(below, context)

    look(cli, click.Context(cli))

    assert {"--registries", "--out", "--state"} <= names
    assert [name for name in names if re.search("passw|token|secret|credential|user|login|auth|key", name)] == []
