"""The generated workflow that posts plans trusts nothing of a pull request's run."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.lab import Lab
from tests.support.workflow_scripts import program, script_of

MARKER = "<!-- imgsync-plan -->"
SHA = "a" * 40
# `gh` as far as the workflow knows it: answers from a file, writes down what it is asked to change.
GH = f"""#!{sys.executable}
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
arguments = sys.argv[1:]
assert arguments.pop(0) == "api", arguments
method, fields, path = "GET", {{}}, ""
while arguments:
    argument = arguments.pop(0)
    if argument == "--method":
        method = arguments.pop(0)
    elif argument in ("-f", "-F"):
        name, _, value = arguments.pop(0).partition("=")
        fields[name] = pathlib.Path(value[1:]).read_text() if argument == "-F" and value.startswith("@") else value
    elif argument not in ("--silent", "--paginate"):
        path = argument
if method == "GET":
    path = path.partition("?")[0]
    if path.endswith("/zip"):
        sys.stdout.buffer.write((folder / (path.replace("/", "_") )).read_bytes())
    else:
        print(json.dumps(json.loads((folder / "answers.json").read_text())[path]))
else:
    with open(folder / "changes.jsonl", "a") as file:
        print(json.dumps([method, path, fields]), file=file)
"""


def pull_request(number: int, *, sha: str = SHA, repository: str = "fork/mirrors") -> dict[str, Any]:
    return {"number": number, "head": {"sha": sha, "repo": {"full_name": repository}}}


def comment(number: int, body: str, login: str = "github-actions[bot]") -> dict[str, Any]:
    return {"id": number, "user": {"login": login}, "body": body}


@pytest.fixture
def post(lab: Lab) -> Callable[..., tuple[subprocess.CompletedProcess[str], list[Any]]]:
    """Run the workflow's script for *text*; return its result and requests."""
    assert lab.workplace.run("init", "new").code == 0
    script = script_of(lab.folder / "new/.github/workflows/mirror-comment.yml", "comment/Post the plan")

    def run(text: str | None, *, pulls: list[Any], comments: list[Any] = [], file: str = "plan.md", size: int = 500):  # noqa: B006 - only read
        programs = program(lab.folder / "programs", "gh", GH)
        # The older of two attempts at one run has left an artifact too.
        artifacts = [{"id": 8, "size_in_bytes": size, "created_at": "2026-02-02"}, {"id": 7, "size_in_bytes": 9, "created_at": "2026-01-01"}]
        answers = {
            "repos/us/mirrors/actions/runs/5/artifacts": {"artifacts": [] if text is None else artifacts},
            "repos/us/mirrors/pulls": pulls,
            "repos/us/mirrors/issues/3/comments": comments,
        }
        (programs / "answers.json").write_text(json.dumps(answers))
        with zipfile.ZipFile(programs / "repos_us_mirrors_actions_artifacts_8_zip", "w") as archive:
            archive.writestr(file, text or "")
        env = {
            "GITHUB_REPOSITORY": "us/mirrors",
            "RUN_ID": "5",
            "HEAD_SHA": SHA,
            "HEAD_BRANCH": "topic/$(touch owned)",
            "HEAD_OWNER": "fork",
            "HEAD_REPOSITORY": "fork/mirrors",
            "MARKER": script.env["MARKER"],
        }
        done = script.run(lab.folder, env=env, programs=programs)
        assert not (lab.folder / "owned").exists()
        changes = programs / "changes.jsonl"
        return done, [json.loads(line) for line in changes.read_text().splitlines()] if changes.exists() else []

    return run


def test_plan_becomes_a_comment(post):
    """The text is posted unchanged on the pull request of that head."""
    text = f"{MARKER}\n### imgsync plan: 1 to create, {'é' * 1000}\n"

    done, changes = post(text, pulls=[pull_request(3)], comments=[comment(1, f"{MARKER}\nnot ours", "somebody"), comment(2, "LGTM")])

    assert done.returncode == 0, done.stderr
    assert changes == [["POST", "repos/us/mirrors/issues/3/comments", {"body": text}]]


def test_comment_is_updated(post):
    """The next plan replaces the last one, found by marker and author."""
    done, changes = post(f"{MARKER}\nnew\n", pulls=[pull_request(3)], comments=[comment(1, f"{MARKER}\nforged", "somebody"), comment(2, f"{MARKER}\nold")])

    assert done.returncode == 0, done.stderr
    assert changes == [["PATCH", "repos/us/mirrors/issues/comments/2", {"body": f"{MARKER}\nnew\n"}]]


@pytest.mark.parametrize(
    "pulls", [[], [pull_request(3, sha="b" * 40)], [pull_request(3, repository="other/mirrors")]], ids=["none", "moved on", "another fork's"]
)
def test_only_the_pull_request_of_that_head_is_commented(pulls, post):
    """A pull request with another head gets no comment."""
    done, changes = post(f"{MARKER}\nnew\n", pulls=pulls)

    assert done.returncode == 0, done.stderr
    assert changes == []


def test_run_without_a_plan_succeeds(post):
    """Without a plan nothing is posted."""
    done, changes = post(None, pulls=[pull_request(3)])

    assert done.returncode == 0, done.stderr
    assert changes == []


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Please run this: …\n", {}),
        (f"{MARKER}\n{'é' * 65536}", {}),
        (f"{MARKER}\n{'é' * 400_000}", {}),
        (f"{MARKER}\nfine\n", {"size": 2 << 20}),
        (f"{MARKER}\nfine\n", {"file": "../plan.md"}),
        ("", {}),
    ],
    ids=["no marker", "too long", "much too long", "too large an archive", "a file elsewhere", "empty"],
)
@pytest.mark.row("OUT-03", "GIT-01")
def test_other_text_is_refused(text, options, post):
    """Text that is not a plan is not posted, and the job fails."""
    done, changes = post(text, pulls=[pull_request(3)], **options)

    assert done.returncode != 0
    assert changes == []
