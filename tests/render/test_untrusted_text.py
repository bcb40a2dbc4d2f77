"""No rendered form passes on escapes or commands of CI runners."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsync.apply.report import Outcome, Report
from imgsync.documents.json_stream import to_json
from imgsync.errors import FileError
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.findings import Condition, Finding, Verification
from imgsync.plan.model import Action, Change, FilterStep, MirrorNotes, Plan, PlanError, PullCost
from imgsync.registries.access import Access
from imgsync.render.access_table import render_access_table
from imgsync.render.annotations import annotate_file_errors, render_annotations
from imgsync.render.config_errors import render_errors
from imgsync.render.junit import render_report_junit
from imgsync.render.plan_markdown import render_plan_markdown
from imgsync.render.plan_table import PlanView, render_plan_table
from imgsync.render.report_html import render_report_html
from imgsync.render.report_markdown import render_report_markdown
from imgsync.render.report_table import render_report_table
from imgsync.render.verification_markdown import render_verification_markdown
from imgsync.render.verification_table import render_verification_table
from imgsync.text.layout import Layout
from tests.support.effort import effort
from tests.support.hostile_text import TEXTS, obeyed
from tests.support.plans import RESULTS, hostile


def every_field(text: str) -> dict[str, object]:
    """Return values of each rendered kind, with *text* in every field."""
    reference = Reference(Repository(text, text), text)
    changes = tuple(Change(action, text, reference, text, reference, text, text, 1, text) for action in Action)
    unplanned = (PlanError(text, text, text, text), PlanError("a", text, text, text, later=True))
    notes = MirrorNotes(text, text, (text, text), text, 1, notes=(text,), steps=(FilterStep(text, text, 1, (text,)),))
    outcomes = tuple(Outcome(changes[0], result, digest=text, error=text, hint=text) for result in RESULTS)
    return {
        "plan": Plan(changes, unplanned, (notes, replace(notes, mirror="a", suspended=True)), created_at=text, pulls=(PullCost(text, 1, 1),)),
        "report": Report(text, outcomes, unplanned, 1.0, text, (text,), text),
        "verification": Verification(tuple(Finding(condition, text, text, text, text, text, text, text) for condition in Condition), unplanned),
        "access": [Access(text, "source", text, "pull", text, text, text, reachable=True, allowed=allowed, error=text, hint=text) for allowed in (None, True)],
        "faults": (FileError(text, 1, 1, text, text, text),),
    }


NARROW = Layout(40, is_terminal=True)
_FORMS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "plan": ("plan", lambda one: render_plan_table(one, PlanView(show_kept=True, explain=True))),
    "plan on a terminal": ("plan", lambda one: render_plan_table(one, PlanView(show_kept=True, explain=True, layout=NARROW))),
    "plan as Markdown": ("plan", lambda one: render_plan_markdown(one, explain=True, show_kept=True)),
    "report": ("report", render_report_table),
    "report on a terminal": ("report", lambda one: render_report_table(one, layout=NARROW)),
    "report as Markdown": ("report", render_report_markdown),
    "report as HTML": ("report", render_report_html),
    "report as JUnit": ("report", render_report_junit),
    "verification": ("verification", lambda one: render_verification_table(one, show_ok=True)),
    "verification on a terminal": ("verification", lambda one: render_verification_table(one, show_ok=True, layout=NARROW)),
    "verification as Markdown": ("verification", render_verification_markdown),
    "access": ("access", render_access_table),
    "faults": ("faults", lambda some: "\n".join(render_errors(some))),
}


@pytest.mark.row("OUT-01", "OUT-02")
@pytest.mark.parametrize("form", _FORMS)
def test_no_form_contains_escapes_or_commands(form):
    """For untrusted text in any field."""
    kind, rendered = _FORMS[form]

    assert {text: bad for text in TEXTS if (bad := obeyed(rendered(every_field(text)[kind])))} == {}


@pytest.mark.row("OUT-02")
@pytest.mark.parametrize("text", TEXTS)
def test_annotation_is_one_command(text):
    """Its text adds no property, command or line."""
    (line,) = render_annotations(annotate_file_errors((FileError(text, 1, 1, text, text, text),)))

    properties, _, message = line.removeprefix("::error ").partition("::")
    assert line.startswith("::error file=")
    assert [part.partition("=")[0] for part in properties.split(",")] == ["file", "line", "col", "title"]
    assert obeyed(message.lstrip(" :")) == []
    assert "\n" not in line
    assert not re.search(r"##\w*\[", line), "GitHub's runner reads these anywhere"


@pytest.mark.row("OUT-02")
@pytest.mark.parametrize("indented", [True, False])
@settings(max_examples=effort(20, 1000), deadline=None)
@given(st.recursive(hostile, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile, inner, max_size=3), max_leaves=5))
def test_json_contains_no_command(indented, document):
    """No line of it is a command, and its content is unchanged."""
    text = to_json(document, indented=indented)

    assert json.loads(text) == json.loads(json.dumps(document))
    assert not re.search(r"##\w*\[", text)
    assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]
