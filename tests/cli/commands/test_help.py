"""`help`, `version` and their options."""

from __future__ import annotations

import json

import pytest

import imgsync
from imgsync.cli import run


@pytest.mark.parametrize("names", [[], ["plan"], ["state"], ["state", "push"], ["help"]], ids=" ".join)
def test_help_is_that_of_the_option(names, capsys):
    """`imgsync help plan` is `imgsync plan --help`."""
    assert run([*names, "--help"]) == 0
    shown = capsys.readouterr().out

    assert run(["help", *names]) == 0
    assert capsys.readouterr().out == shown


def test_help_of_a_command_without_commands_is_an_error(capsys):
    """`plan` has no commands below it."""
    assert run(["help", "plan", "state"]) == 3

    assert "`imgsync plan` has no commands" in capsys.readouterr().err


def test_version_is_a_command_and_an_option(capsys):
    """`-V`, `--version` and `version`."""
    shown = []
    for line in (["-V"], ["--version"], ["version"]):
        assert run(line) == 0
        shown.append(capsys.readouterr().out)

    assert shown[0] == shown[1]
    assert all(one.endswith(f"{imgsync.__version__}\n") for one in shown)


@pytest.mark.parametrize("option", [["--json"], ["-o", "json"]], ids=" ".join)
def test_version_as_json_names_python(option, capsys):
    """What a bug report needs."""
    assert run(["version", *option]) == 0

    assert json.loads(capsys.readouterr().out).keys() == {"version", "python", "platform"}
