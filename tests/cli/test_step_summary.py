"""GitHub's step summary, stdout and stderr."""

from __future__ import annotations

import json

import pytest

from tests import switches
from tests.support.canary import secrets_in
from tests.support.images import image

PLAN_MARKER, REPORT_MARKER = "<!-- imgsync-plan -->", "<!-- imgsync-report -->"


@pytest.fixture
def declared(lab):
    lab.push("app", "1", image(lab.name, layers=1))
    lab.declare("app")


def test_plan_and_apply_add_to_the_summary(declared, lab):
    """Markdown is appended; without the variable nothing is written."""
    summary = lab.folder / "summary.md"
    summary.write_text("what another program wrote\n")
    env = {"GITHUB_STEP_SUMMARY": str(summary)}

    planned = lab.run("plan", "-o", "markdown", env=env)
    applied = lab.run("apply", "-o", "markdown", env=env)

    assert planned.stdout.startswith(f"{PLAN_MARKER}\n")
    assert applied.stdout.startswith(f"{REPORT_MARKER}\n")
    assert summary.read_text() == f"what another program wrote\n{planned.stdout}{applied.stdout}"
    before = sorted(path.name for path in lab.folder.iterdir())
    for env in ({}, {"GITHUB_STEP_SUMMARY": ""}):
        assert lab.run("plan", env=env).code == 0
    assert sorted(path.name for path in lab.folder.iterdir()) == before


def test_show_prints_the_same_as_the_summary(declared, lab):
    """For a saved report."""
    summary = lab.folder / "summary.md"
    (lab.folder / "report.json").write_text(lab.run("apply", "-o", "json", env={"GITHUB_STEP_SUMMARY": str(summary)}).stdout)

    assert lab.run("show", "report.json", "-o", "markdown").stdout == summary.read_text()


def test_full_summary_is_not_exceeded(declared, lab):
    """GitHub drops summaries over 1 MiB; the rest is left out and logged."""
    summary = lab.folder / "summary.md"
    summary.write_bytes(b"x" * (900 << 10))

    ran = lab.run("plan", env={"GITHUB_STEP_SUMMARY": str(summary)})

    assert ran.code == 0
    assert summary.stat().st_size == 900 << 10
    (line,) = ran.events("summary.unwritten")
    assert (line["level"], "exceed what GitHub shows" in line["reason"]) == ("warning", True)


@pytest.mark.parametrize("place", [".", "missing/summary.md"])
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_unwritable_summary_is_a_warning(command, place, declared, imgsync):
    """The run does not fail."""
    ran = imgsync(command, "-o", "json", env={"GITHUB_STEP_SUMMARY": place})

    assert ran.code == 0
    assert ran.json["format"]
    (line,) = ran.events("summary.unwritten")
    assert (line["level"], f"{place} cannot be written" in line["reason"]) == ("warning", True)


def test_no_secret_is_in_the_summary(declared, lab):
    """Even if a registry repeats one."""
    lab.workplace.allow_plain_http(lab.source, settings={lab.source.host: {"credentials": {"username": "me", "password": "echoed-SECRET"}}})
    lab.source.add(switches.Respond(401, {"errors": []}, headers={"WWW-Authenticate": 'Basic realm="x"'}), times=1)
    lab.source.add(switches.Echo(403))
    summary = lab.folder / "summary.md"

    assert lab.run("plan", env={"GITHUB_STEP_SUMMARY": str(summary)}).code == 1

    assert "you sent" in summary.read_text()
    assert secrets_in(summary.read_text()) == []


@pytest.mark.parametrize("form", ["table", "json", "markdown", "gitlab"])
def test_stdout_is_the_form_and_nothing_else(form, declared, imgsync):
    """stderr is JSON lines off a terminal."""
    ran = imgsync("plan", "-o", form, "--out", "plan.json")

    assert ran.code == 0
    if form == "gitlab":
        assert ran.stdout == '{"create":1,"update":0,"delete":0}\n'
    elif form == "json":
        assert ran.stdout.count("\n") == 1
        assert json.loads(ran.stdout)["format"] == "imgsync.plan/v1"
    elif form == "markdown":
        assert ran.stdout.startswith(f"{PLAN_MARKER}\n### imgsync plan ")
        assert ran.stdout.endswith("</details>\n")
    assert "Saved" not in ran.stdout
    (line,) = ran.events("plan.saved")
    assert (line["level"], line["path"], line["plan_id"]) == ("info", "plan.json", ran.events("plan.built")[0]["plan_id"])
