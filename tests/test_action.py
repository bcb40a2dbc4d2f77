"""The GitHub action, the pre-commit hooks, and our own workflows."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from imgsync.init.render_files import render_files
from imgsync.init.write_files import write_files
from tests.init.test_plan_comment import GH, MARKER
from tests.support import linters
from tests.support.workflow_scripts import before_script, program, script_of

ROOT = Path(__file__).parents[1]
ACTION = ROOT / "action.yml"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("check", [linters.yaml_is_tidy, linters.fits("vendor.github-actions"), linters.is_secure, linters.shell_is_sound])
def test_action_passes_its_linters(check):
    """GitHub's schema, zizmor and ShellCheck."""
    check(ACTION)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflows_pass_their_linters(file):
    """The same for our own workflows."""
    for check in (linters.yaml_is_tidy, linters.fits("vendor.github-workflows"), linters.is_secure, linters.shell_is_sound):
        check(file)


def test_pre_commit_accepts_our_hooks():
    """Others can use this repository in .pre-commit-config.yaml."""
    linters.tool("pre-commit", "validate-manifest", ROOT / ".pre-commit-hooks.yaml")
    linters.tool("pre-commit", "validate-config", ROOT / ".pre-commit-config.yaml")


def run_action(folder: Path, imgsync: str, **inputs: str):
    """Run the action's last step with a stand-in; return its outputs."""
    installed = folder / "runner-temp/imgsync/bin"
    installed.mkdir(parents=True)
    program(installed, "imgsync", imgsync)
    (installed / "python").symlink_to(sys.executable)
    env = {"COMMAND": "plan", "DECLARATION": "", "ARGUMENTS": ""} | inputs
    done = script_of(ACTION, "action/Run imgsync").run(folder, env=env, programs=installed)
    outputs = (folder / "runner-temp/output").read_text(encoding="utf-8").splitlines()
    return done, dict(line.split("=", 1) for line in outputs)


def test_action_passes_its_inputs_on(tmp_path):
    """Arguments are split at white space, and nothing in them is run."""
    done, outputs = run_action(
        tmp_path,
        '#!/bin/sh\nfor word in "$@"; do echo "<$word>"; done\n',
        COMMAND="validate",
        DECLARATION="my mirrors",
        ARGUMENTS="--only  a*\n--registries $(touch owned)\n",
    )

    assert done.stdout.splitlines() == ["<validate>", "<--only>", "<a*>", "<--registries>", "<$(touch>", "<owned)>", "<my mirrors>"]
    assert outputs == {"exit-code": "0"}
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(("code", "becomes"), [(0, 0), (1, 1), (2, 0), (3, 3), (70, 70), (75, 0)])
def test_action_fails_if_imgsync_failed(code, becomes, tmp_path):
    """Pending changes and remaining work are outputs, not failures."""
    done, outputs = run_action(tmp_path, f"#!/bin/sh\nexit {code}\n")

    assert done.returncode == becomes
    assert outputs == {"exit-code": str(code)}
    assert ("::warning" in done.stdout) == (code == 75)


# What Python would import from its working folder, or from where its environment variables point.
SHADOWS = (
    "json.py",
    "pip/__main__.py",
    "pip/__init__.py",
    "venv/__main__.py",
    "venv/__init__.py",
    "imgsync/__init__.py",
    "sitecustomize.py",
    "usercustomize.py",
)


@pytest.fixture
def checkout(tmp_path):
    """Return a checkout with modules that would leave a file when imported."""
    for name in SHADOWS:
        file = tmp_path / "checkout" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write(__name__ + chr(10))\n")
    return tmp_path / "checkout"


@pytest.mark.row("GIT-02")
@pytest.mark.parametrize(
    ("file", "step"),
    [("action.yml", "action/Install imgsync"), ("action.yml", "action/Run imgsync"), ("mirror.yml", "plan/Install imgsync"), (".gitlab-ci.yml", "before")],
)
def test_workflows_import_nothing_of_the_checkout(file, step, checkout, tmp_path):
    """Neither to install imgsync nor to read its plan."""
    programs = program(tmp_path / "programs", "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    env = {"PYTHON": str(programs / "python"), "VERSION": "0", "ACTION_PATH": str(tmp_path), "COMMAND": "plan", "ARGUMENTS": "", "DECLARATION": ""}
    # pip is started and finds nothing: it need not try again.
    env |= {"PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_RETRIES": "0"}
    if file == "action.yml":
        script = script_of(ACTION, step)
    else:
        write_files(checkout, render_files("r.io/m", ci=["github", "gitlab"]), missing_only=True)
        script = script_of(checkout / ".github/workflows/mirror.yml", step) if file == "mirror.yml" else before_script(checkout / file)
    if step == "action/Run imgsync":
        installed = checkout / "runner-temp/imgsync/bin"
        installed.mkdir(parents=True)
        program(installed, "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        program(installed, "imgsync", '#!/bin/sh\necho \'{"id": "x", "summary": {"create": 0, "update": 0, "delete": 0}}\' > "$IMGSYNC_OUT"\n')

    script.run(checkout, env=env if file == "action.yml" else env | script.env, programs=programs)

    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()


def test_every_python_of_a_workflow_is_isolated():
    """`-I` is the first option of each, also in the page about Jenkins."""
    pages = [ACTION, *(ROOT / "imgsync/init/templates").rglob("*.jinja"), ROOT / "docs/how-to/jenkins.md"]
    calls = [call for page in pages for call in re.findall(r"(?:\bpython|PYTHON|bin/python)\"? (-\S*)", page.read_text(encoding="utf-8"))]

    assert calls == ["-I"] * 7


def test_action_outputs_the_plan(tmp_path):
    """Changes, id and file, also after a failure."""
    plan = json.dumps({"id": "7f3c9a1e", "summary": {"create": 2, "update": 1, "keep": 40, "hold": 1, "refuse": 1, "delete": 3, "error": 0}})

    done, outputs = run_action(tmp_path, f"#!/bin/sh\necho '{plan}' > \"$IMGSYNC_OUT\"\nexit 1\n")

    file = tmp_path / "runner-temp/imgsync-plan.json"
    assert done.returncode == 1
    assert outputs == {"exit-code": "1", "changes": "6", "plan-id": "7f3c9a1e", "plan": str(file)}


@pytest.mark.parametrize("comments", [[], [("other", 1)], [("other", 1), ("plan", 2)]], ids=["none", "another", "an older plan"])
def test_action_posts_one_comment_with_the_plan(comments, tmp_path):
    """It replaces the comment of an earlier run, found by its hidden marker, and no other."""
    programs = program(tmp_path / "programs", "gh", GH)
    answers = [{"id": number, "user": {"type": "Bot"}, "body": f"{MARKER}\nold" if kind == "plan" else "text"} for kind, number in comments]
    (programs / "answers.json").write_text(json.dumps({"repos/us/mirrors/issues/3/comments": answers}))
    installed = tmp_path / "runner-temp/imgsync/bin"
    installed.mkdir(parents=True)
    program(installed, "imgsync", f"#!/bin/sh\necho '{MARKER}'\necho \"$@\"\n")
    script = script_of(ACTION, "action/Comment")

    env = {"GITHUB_REPOSITORY": "us/mirrors", "PLAN": "plan.json", "NUMBER": "3", "MARKER": script.env["MARKER"]}
    done = script.run(tmp_path, env=env, programs=programs)

    (change,) = [json.loads(line) for line in (programs / "changes.jsonl").read_text().splitlines()]
    is_new = len(comments) < 2
    assert done.returncode == 0, done.stderr
    assert change[:2] == (["POST", "repos/us/mirrors/issues/3/comments"] if is_new else ["PATCH", "repos/us/mirrors/issues/comments/2"])
    assert change[2] == {"body": f"{MARKER}\nshow plan.json --output markdown\n"}


def test_action_comments_on_nothing_without_a_pull_request(tmp_path):
    """A push or a schedule."""
    done = script_of(ACTION, "action/Comment").run(tmp_path, env={"NUMBER": "", "MARKER": MARKER}, programs=tmp_path)

    assert (done.returncode, "no pull request" in done.stdout) == (0, True)


def test_action_caches_packages_and_saves_the_state_after_writing():
    """Packages are checked by hash again; a plan never saves the state."""
    steps = {step["name"]: step for step in yaml.safe_load(ACTION.read_text(encoding="utf-8"))["runs"]["steps"]}

    assert steps["Restore the downloaded packages"]["with"]["path"].endswith("/imgsync-pip")
    assert '--cache-dir "$RUNNER_TEMP/imgsync-pip"' in steps["Install imgsync"]["run"]
    assert "--require-hashes" in steps["Install imgsync"]["run"]
    assert steps["Restore the state"]["if"] == "inputs.cache-state == 'true'"
    assert "plan" not in steps["Save the state"]["if"]
    assert steps["Save the state"]["with"]["key"] == steps["Restore the state"]["with"]["key"]
    assert steps["Run imgsync"]["if"] == "inputs.command != ''"
