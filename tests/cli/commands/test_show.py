"""`imgsync show`: prints a saved document in any form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgsync.config.model import Config, RegistriesConfig
from imgsync.documents.json_stream import to_json
from imgsync.documents.plan import encode_plan
from imgsync.documents.report import encode_report
from imgsync.documents.verification import encode_verification
from imgsync.plan.findings import Condition, Finding, Verification
from imgsync.render.gitlab_widget import render_gitlab_summary
from imgsync.render.junit import render_report_junit
from imgsync.render.plan_markdown import render_plan_markdown
from imgsync.render.plan_table import PlanView, render_plan_table
from imgsync.render.report_html import render_report_html
from imgsync.render.report_markdown import render_report_markdown
from imgsync.render.report_table import render_report_table
from imgsync.render.verification_markdown import render_verification_markdown
from imgsync.render.verification_table import render_verification_table
from imgsync.text.layout import Layout
from tests.support.plans import DIGEST, OTHER, of_each_action, report

PLAN = of_each_action()
REPORT = report()
VERIFICATION = Verification(
    (
        Finding(Condition.OK, "a", "s.io/app:1", DIGEST, "r.io/m/app:1", DIGEST, "same digest"),
        Finding(Condition.DIFFERS, "a", "s.io/app:2", DIGEST, "r.io/m/app:2", OTHER, "destination differs"),
    ),
    PLAN.errors,
    5,
    "2026-11-23T09:00:00Z",
    1.5,
)
# Without a terminal, as wide as `COLUMNS` says.
WIDE = Layout(200)
DOCUMENTS = {
    "plan": encode_plan(PLAN, Config((), RegistriesConfig()), explain=True),
    "report": encode_report(REPORT),
    "verification": encode_verification(VERIFICATION),
}


def compact(document: object) -> str:
    return f"{to_json(document, indented=False)}\n"


@pytest.fixture
def saved(lab) -> Callable[[str], Path]:
    """Save one of the documents in an empty folder."""
    return lambda kind: lab.write(f"{kind}.json", to_json(DOCUMENTS[kind], indented=True))


@pytest.mark.parametrize(
    ("kind", "arguments", "shown"),
    [
        ("plan", (), render_plan_table(PLAN, PlanView(layout=WIDE))),
        ("plan", ("-o", "table", "--all", "--explain"), render_plan_table(PLAN, PlanView(show_kept=True, explain=True, layout=WIDE))),
        ("plan", ("-o", "json"), compact(DOCUMENTS["plan"])),
        ("plan", ("-o", "markdown"), render_plan_markdown(PLAN)),
        ("plan", ("-o", "gitlab"), compact(render_gitlab_summary(PLAN))),
        ("report", (), render_report_table(REPORT, layout=WIDE)),
        ("report", ("-o", "json"), compact(DOCUMENTS["report"])),
        ("report", ("-o", "markdown"), render_report_markdown(REPORT)),
        ("report", ("-o", "html"), render_report_html(REPORT)),
        ("report", ("-o", "junit"), render_report_junit(REPORT)),
        ("verification", (), render_verification_table(VERIFICATION, show_ok=False, layout=WIDE)),
        ("verification", ("--all",), render_verification_table(VERIFICATION, show_ok=True, layout=WIDE)),
        ("verification", ("-o", "json"), compact(DOCUMENTS["verification"])),
        ("verification", ("-o", "markdown"), render_verification_markdown(VERIFICATION)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_saved_document_is_shown_as_it_was(kind, arguments, shown, saved, lab):
    """In each form, without configuration or state."""
    saved(kind)

    ran = lab.run("show", f"{kind}.json", *arguments)

    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout.rstrip("\n") == shown.rstrip("\n")
    assert [path.name for path in lab.folder.iterdir()] == [f"{kind}.json"]


@pytest.mark.parametrize(
    ("kind", "forms", "others"),
    [
        ("plan", "table, json, markdown, gitlab", ("html", "junit")),
        ("report", "table, json, markdown, html, junit", ("gitlab",)),
        ("verification", "table, json, markdown", ("gitlab", "html", "junit")),
    ],
)
def test_unknown_form_is_an_error(kind, forms, others, saved, imgsync):
    """Exit 3 with the forms that exist."""
    saved(kind)

    for form in others:
        ran = imgsync("show", f"{kind}.json", "-o", form)
        assert (ran.code, ran.stdout) == (3, "")
        assert f"{kind}.json is imgsync.{kind}/v1, which cannot be shown as {form}" in ran.stderr
        assert f"hint: choose one of: {forms}\n" in ran.stderr


def without(document: dict[str, Any], name: str) -> str:
    return compact({key: value for key, value in document.items() if key != name})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON, or truncated"),
        ("{", "is not JSON, or truncated"),
        ("<!DOCTYPE html>\n<html>", "is an HTML page, not JSON"),
        ('<?xml version="1.0"?>', "is an XML file, not JSON"),
        ("<!-- imgsync-report -->\n### imgsync", "is a Markdown page, not JSON"),
        ("{}", "is not a plan or report of imgsync"),
        ('{"format": "something/v1"}', "is something/v1, not a plan, report, verification or outcome"),
        ('{"format": "imgsync.report/v2"}', "has another version, imgsync.report/v2"),
        (compact(DOCUMENTS["plan"]).replace(DIGEST, OTHER), "was edited or damaged"),
        (without(DOCUMENTS["report"], "outcomes"), "'outcomes' is missing"),
        (without(DOCUMENTS["verification"], "findings"), "'findings' is missing"),
        (compact(DOCUMENTS["report"]).replace('"bytes_copied":0', '"bytes_copied":"0"'), "'bytes_copied' has the wrong type"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_damaged_file_is_an_error(text, said, lab):
    """Exit 3 and one error, in any form."""
    lab.write("file.json", text)

    ran = lab.run("show", "file.json", "-o", "json")

    assert (ran.code, ran.stdout) == (3, "")
    assert ran.stderr.startswith("error: file.json ")
    assert said in ran.stderr


def test_unreadable_file_is_an_error(lab):
    """A missing file, a folder."""
    (lab.folder / "folder").mkdir()

    for name, why in (("missing.json", "No such file or directory"), ("folder", "Is a directory")):
        ran = lab.run("show", name)
        assert (ran.code, ran.stdout) == (3, "")
        assert f"error: {name} cannot be read: {why}\n" in ran.stderr
