"""Completion in real shells; nothing heavy is imported for it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from imgsync.cli import run
from tests.support.run_imgsync import Workplace


@pytest.fixture
def place(workplace) -> Workplace:
    workplace.mirror_file(
        """
        version: 1
        mirrors:
          - {name: alpha, description: The first, source: r.io/x, destinations: [r.io/m]}
          - {name: beta, source: r.io/y, destinations: [r.io/m]}
        """
    )
    workplace.mirror_file("version: 1\nmirrors: [{name: gamma}]\n", "other/c.yaml")
    workplace.mirror_file("mirrors: [", "mirrors.d/broken.yaml")
    # The script calls the program by its name.
    program = workplace.folder / "bin" / "imgsync"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m imgsync "$@"\n')
    program.chmod(0o755)
    return workplace


def complete(place: Workplace, shell: str, line: str) -> list[str]:
    """Return what *shell* offers at the end of *line*."""
    script = place.folder / f"completion.{shell}"
    if not script.exists():
        script.write_text(place.run("completion", shell).stdout)
    words = line.split(" ")
    programs = {
        "bash": f'source {script}; COMP_WORDS=({line!s} ""); COMP_WORDS=("${{COMP_WORDS[@]:0:{len(words)}}}"); COMP_CWORD={len(words) - 1}; '
        '_imgsync_completion imgsync; printf "%s\\n" "${COMPREPLY[@]}"',
        # zsh completes only at a prompt, so the functions that would show the result print it.
        "zsh": "compdef() { : }; compadd() { print -l -- ${(P)argv[-1]} }; _describe() { print -l -- ${(P)argv[3]} }; _path_files() { print FILE }; "
        f"words=({line} ''); words=(${{words[1,{len(words)}]}}); CURRENT={len(words)}; source {script}; _imgsync_completion",
        "fish": f"source {script}; complete -C '{line}'",
    }
    environment = place.environment()
    environment["PATH"] = f"{place.folder}/bin:{environment['PATH']}"
    quiet = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run([shell, *quiet, "-c", programs[shell]], cwd=place.folder, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return [one.replace(":", "\t").split("\t")[0] for one in done.stdout.splitlines() if one]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completes_what_was_begun(shell, place):
    """A command, an option, a value, a mirror's name; errors in files are ignored."""
    assert complete(place, shell, "imgsync pl") == ["plan"]
    assert set(complete(place, shell, "imgsync plan --only ")) == {"alpha", "beta"}


def test_values_of_options_are_completed(place):
    """Those of `-o`, files, and mirrors of the PATH that was named."""
    assert complete(place, "bash", "imgsync plan -o m") == ["markdown"]
    assert complete(place, "bash", "imgsync state ex") == ["export"]
    assert complete(place, "bash", "imgsync plan --onl") == ["--only"]
    assert complete(place, "bash", "imgsync plan other --only ") == ["gamma"]
    assert complete(place, "bash", "imgsync plan --only al") == ["alpha"]
    assert complete(place, "bash", "imgsync plan --only alpha/") == ["alpha/x"]


def test_commands_are_completed_after_help(place):
    """Those of a group too; nothing after a command without any."""
    assert complete(place, "bash", "imgsync help ver") == ["verify", "version"]
    assert complete(place, "bash", "imgsync help state ex") == ["export"]
    assert complete(place, "bash", "imgsync help plan ") == []


@pytest.mark.row("CFG-14")
@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_hostile_names_are_not_completed(shell, place):
    """What is completed is a command as soon as a user presses Enter."""
    names = ["$(touch pwned)", "a;touch pwned", "a\nplain,b", "`touch pwned`", "ok-1"]
    mirrors = [{"name": name, "description": "\x1b]0;pwned\x07"} for name in names]
    place.mirror_file(json.dumps({"version": 1, "mirrors": mirrors}), "hostile/a.yaml")

    assert complete(place, shell, "imgsync plan hostile --only ") == ["ok-1"]
    assert not (place.folder / "pwned").exists()


def test_completion_imports_no_network(place):
    """A key press must not wait for an HTTP client."""
    look = "import sys; sys.argv[1:] = []\nfrom imgsync.__main__ import main\ntry: main()\nexcept SystemExit: print(sorted(sys.modules), file=sys.stderr)"
    for line, number in (("imgsync ", 1), ("imgsync apply --only ", 3), ("imgsync state ", 2)):
        environment = place.environment({"_IMGSYNC_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(number)})
        done = subprocess.run([sys.executable, "-c", look], cwd=place.folder, env=environment, capture_output=True, text=True, check=True)

        assert done.stdout.count("\n") > 1
        assert [one for one in ("gevent", "httpx", "jsonschema", "structlog", "diskcache", "jinja2", "rich") if f"'{one}'" in done.stderr] == []


def test_manual_page_passes_its_linter(tmp_path, capsys):
    """It is the one in the wheel, which `man imgsync` finds."""
    page = Path(__file__).parents[2] / "man" / "imgsync.1"
    assert run(["man"]) == 0
    text = capsys.readouterr().out

    assert text == page.read_text(encoding="utf-8")
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", str(page)], capture_output=True, text=True, check=False)
    # It has no date, so that it changes only with the help.
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []
    shown = subprocess.run(["mandoc", "-Tutf8", str(page)], capture_output=True, text=True, check=True).stdout
    # Bold is a letter over itself.
    plain = re.sub(".\b", "", shown)
    assert all(word in plain for word in ("imgsync plan", "--detailed-exitcode", "registries.yaml", "EXIT STATUS"))
