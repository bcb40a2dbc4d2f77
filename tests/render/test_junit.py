"""A report as JUnit XML."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

from hypothesis import given

from imgsync.apply.report import Report
from imgsync.plan.model import PlanError
from imgsync.render.junit import render_report_junit
from tests.support.plans import gone_tag, report, reports


def test_each_reference_is_a_case_of_its_mirror():
    """Refusals fail, errors are errors, what is left or held is skipped, the rest passes."""
    root = ET.fromstring(render_report_junit(report()))
    cases = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}

    assert [suite.get("name") for suite in root] == ["a", "b"]
    assert cases == {
        "r.io/m/app:1": [],
        "r.io/m/app:2": [],
        "r.io/m/app:3": ["skipped"],
        "r.io/m/app:4": ["failure"],
        "r.io/m/app:5": [],
        "r.io/m/app:6": ["failure"],
        "r.io/m/app:7": ["skipped"],
        "s.io/x": ["error"],
    }
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "8",
        "failures": "2",
        "errors": "1",
        "skipped": "2",
        "time": "75.400",
    }
    failure = root.find(".//testcase[@name='r.io/m/app:6']/failure")
    assert failure.get("message") == "push blob r.io/m/app (destination): 507"
    assert failure.text.splitlines()[-1] == "hint: free some space"
    assert root[0].get("timestamp") == "2026-11-23T09:00:00Z"


def test_transient_error_is_skipped():
    """An error that another run repairs fails no pipeline."""
    root = ET.fromstring(render_report_junit(Report("abcd1234", (), (PlanError("a", "s.io/x", "the pulls are spent", later=True),))))

    assert (root.get("errors"), root.get("skipped")) == ("0", "1")


def test_tag_that_is_gone_is_skipped():
    """It stays at the destination, so the pipeline passes and shows since when; also in a mirror without other images."""
    root = ET.fromstring(render_report_junit(replace(report(), gone=(gone_tag(), gone_tag(mirror="c")))))
    found = [(suite.get("name"), suite.get("skipped"), case.find("skipped")) for suite in root for case in suite if case.get("name") == "r.io/m/app:9"]

    assert [(name, skipped, case.get("message")) for name, skipped, case in found] == [
        ("a", "3", "gone at the source since 2026-08-28; not in the list of tags"),
        ("c", "1", "gone at the source since 2026-08-28; not in the list of tags"),
    ]
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("10", "2", "4")


@given(reports)
def test_document_is_whole_for_any_text(some: Report):
    """It parses; each outcome, error and gone tag is one case, and the counts fit."""
    root = ET.fromstring(render_report_junit(some).encode())

    assert len(list(root.iter("testcase"))) == len(some.outcomes) + len(some.errors) + len(some.gone) == int(root.get("tests"))
    for element in (root, *root):
        assert int(element.get("failures")) == len(element.findall(".//failure"))
        assert int(element.get("skipped")) == len(element.findall(".//skipped"))
