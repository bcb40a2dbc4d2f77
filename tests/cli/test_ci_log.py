"""The log on the page of a CI job: folded, with annotations."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from imgsync.apply.report import Outcome, Report, Result
from imgsync.config.model import Config, RegistriesConfig
from imgsync.plan.model import PlanError
from imgsync.render.annotations import Annotation, annotate_report, render_annotations
from tests.support.images import image
from tests.support.plans import change

GITHUB = {"GITHUB_ACTIONS": "true", "CI": "true"}
GITLAB = {"GITLAB_CI": "true", "CI": "true"}


@pytest.fixture
def lab_with_error(lab):
    """An image to copy, and a name that does not exist."""
    lab.push("app", "1", image(1))
    lab.declare("app", "tags: {names: ['1', '2']}")
    return lab


def test_log_is_folded_in_github(lab_with_error):
    """A group ends before the plan is printed and before the results are; errors are annotations at the mirror."""
    ran = lab_with_error.run("apply", env=GITHUB)

    lines = ran.stderr.splitlines()
    marks = [line for line in lines if line.startswith("::") and not line.startswith("::error")]
    assert marks == ["::group::imgsync log (JSON lines)", "::endgroup::"] * 2, ran.stderr
    assert (lines[0], lines[-1]) == (marks[0], "::endgroup::")
    assert "does not exist at the source" in ran.stdout
    (annotation,) = (line for line in lines if line.startswith("::error"))
    source = f"{lab_with_error.source.host}/{lab_with_error.name}/app:2"
    assert annotation.startswith(f"::error file=mirrors.d/a.yaml,line=3,title=imgsync::{source}: does not exist at the source (")
    events = [json.loads(line)["event"] for line in lines if not line.startswith("::")]
    assert {"plan.built", "plan.failed", "image.copied", "apply.finished"} <= set(events)


def test_log_is_a_section_in_gitlab(lab_with_error):
    """Collapsed, with a name of its own, ended by the same name."""
    lines = lab_with_error.run("plan", env=GITLAB).stderr.split("\n")

    # A carriage return is read as a line's end.
    begin, title, *log, end, tail, _ = lines
    name = begin.split(":")[2].partition("[")[0]
    assert begin.startswith("\x1b[0Ksection_start:")
    assert begin.endswith(f":{name}[collapsed=true]")
    assert title == "\x1b[0Kimgsync log (JSON lines)"
    assert end.startswith("\x1b[0Ksection_end:")
    assert end.endswith(f":{name}")
    assert tail == "\x1b[0K"
    assert all(json.loads(line)["event"] for line in log)


def test_named_log_format_is_not_folded(lab_with_error):
    """A program reads JSON; a person asked for text, and gets annotations in a group of their own."""
    assert lab_with_error.run("plan", "--log-format", "json", env=GITHUB).logs
    console = lab_with_error.run("plan", "--log-format", "console", env=GITHUB).stderr.splitlines()

    assert [line.partition(" file=")[0] for line in console if line.startswith("::")] == ["::group::imgsync annotations", "::error", "::endgroup::"]


def test_log_in_a_file_is_not_folded(lab_with_error):
    """No runner reads a file."""
    log = lab_with_error.folder / "log.jsonl"
    env = lab_with_error.workplace.environment(GITLAB)
    with log.open("w") as file:
        subprocess.run([sys.executable, "-m", "imgsync", "plan"], cwd=lab_with_error.folder, env=env, stdout=subprocess.DEVNULL, stderr=file, check=False)

    assert all(json.loads(line)["event"] for line in log.read_text().splitlines())


def test_rows_of_the_plan_are_not_repeated_as_text(lab_with_error):
    """Only where the table goes to the same place."""
    text = lab_with_error.run("plan", "--log-format", "console")
    document = lab_with_error.run("plan", "--log-format", "console", "-o", "json")

    assert "does not exist at the source" in text.stdout
    assert "plan.failed" not in text.stderr
    assert "plan.failed" in document.stderr


def test_eleventh_annotation_is_counted():
    """GitHub shows ten of a kind."""
    shown = render_annotations([Annotation(f"message {number}", "a.yaml", 1) for number in range(12)])

    assert len(shown) == 10
    assert shown[-2] == "::error file=a.yaml,line=1,title=imgsync::message 8"
    assert shown[-1] == "::error title=imgsync::and 3 more errors; the log of this step shows all"
    assert len(render_annotations([Annotation(str(number)) for number in range(10)])) == 10


def test_failed_and_refused_images_are_annotations():
    """What the next run does is not an error."""
    outcomes = (Outcome(change(), Result.FAILED, error="507", hint="free some space"), Outcome(change(tag="2"), Result.COPIED))
    report = Report("abcd1234", outcomes, (PlanError("a", "s.io/x", "limit", later=True),))

    assert annotate_report(report, Config((), RegistriesConfig())) == [Annotation("r.io/m/app:1 failed: 507 (free some space)")]
