"""A report as JUnit's XML, which GitLab, Jenkins and others show as tests: a suite per mirror, a case per destination reference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from xml.etree import ElementTree as ET

from imgsync.apply.report import Outcome, Report, Result
from imgsync.plan.model import PlanError
from imgsync.render.mirror_sections import merge_names
from imgsync.text.sanitize import sanitize_short

_Say = Callable[[ET.Element, Outcome], None]


def render_report_junit(report: Report) -> str:
    """
    Return *report* as a JUnit document, its declaration included.

    Failed and refused references are failures, what could not be planned is an error, what is left for the next run or on hold is skipped.
    """
    outcomes: defaultdict[str, list[Outcome]] = defaultdict(list)
    errors: defaultdict[str, list[PlanError]] = defaultdict(list)
    for outcome in report.outcomes:
        outcomes[outcome.change.mirror].append(outcome)
    for error in report.errors:
        errors[error.mirror].append(error)
    root = ET.Element("testsuites", name="imgsync", time=_seconds(report.seconds))
    for mirror in merge_names(outcomes, errors):
        _suite(root, mirror, outcomes[mirror], errors[mirror], timestamp=report.created_at)
    _count(root, root)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(root: ET.Element, mirror: str, outcomes: list[Outcome], errors: list[PlanError], *, timestamp: str) -> None:
    seconds = _seconds(sum(outcome.seconds for outcome in outcomes))
    suite = ET.SubElement(root, "testsuite", name=sanitize_short(mirror) or "imgsync", time=seconds)
    if timestamp:
        suite.set("timestamp", sanitize_short(timestamp))
    for outcome in outcomes:
        change = outcome.change
        case = ET.SubElement(suite, "testcase", classname=sanitize_short(mirror), name=sanitize_short(change.destination), time=_seconds(outcome.seconds))
        if outcome.result in _SAYINGS:
            _SAYINGS[outcome.result](case, outcome)
    for error in errors:
        case = ET.SubElement(suite, "testcase", classname=sanitize_short(mirror), name=sanitize_short(error.reference), time=_seconds(0))
        if error.later:
            ET.SubElement(case, "skipped", message=sanitize_short(error.message))
        else:
            _detail(ET.SubElement(case, "error", message=sanitize_short(error.message), type="unplanned"), error.message, error.hint)
    _count(suite, suite)


def _failure(case: ET.Element, outcome: Outcome) -> None:
    message = outcome.error or outcome.change.reason
    said = f"{outcome.change.source} → {outcome.change.destination}: {message}"
    _detail(ET.SubElement(case, "failure", message=sanitize_short(message), type=outcome.result), said, outcome.hint)


def _held(case: ET.Element, outcome: Outcome) -> None:
    ET.SubElement(case, "skipped", message=sanitize_short(outcome.change.reason))


def _remaining(case: ET.Element, outcome: Outcome) -> None:
    ET.SubElement(case, "skipped", message=sanitize_short(f"left for the next run: {outcome.change.reason}"))


_SAYINGS: dict[Result, _Say] = {Result.FAILED: _failure, Result.REFUSED: _failure, Result.HELD: _held, Result.REMAINING: _remaining}


def _detail(element: ET.Element, message: str, hint: str) -> None:
    element.text = "\n".join(sanitize_short(line) for line in (message, f"hint: {hint}" if hint else "") if line)


def _count(element: ET.Element, within: ET.Element) -> None:
    for name, path in (("tests", "testcase"), ("failures", "testcase/failure"), ("errors", "testcase/error"), ("skipped", "testcase/skipped")):
        element.set(name, str(len(within.findall(f".//{path}"))))


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
