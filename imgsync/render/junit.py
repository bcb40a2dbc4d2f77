"""
A report as JUnit XML.

GitLab, Jenkins and others show it as tests. A suite per mirror, a case per destination reference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from xml.etree import ElementTree as ET

from imgsync.apply.report import Outcome, Report, Result
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.model import PlanError
from imgsync.render.mirror_sections import merge_names
from imgsync.text.sanitize import sanitize_short

_Writer = Callable[[ET.Element, Outcome], None]


def render_report_junit(report: Report) -> str:
    """
    Return *report* as a JUnit document.

    Failed and refused references are failures, plan errors are errors. References on hold, left for the next run, or gone at the source are
    skipped.
    """
    outcomes: defaultdict[str, list[Outcome]] = defaultdict(list)
    errors: defaultdict[str, list[PlanError]] = defaultdict(list)
    gone: defaultdict[str, list[GoneTag]] = defaultdict(list)
    for outcome in report.iter_outcomes():
        outcomes[outcome.change.mirror].append(outcome)
    for error in report.errors:
        errors[error.mirror].append(error)
    for tag in report.gone:
        gone[tag.mirror].append(tag)
    root = ET.Element("testsuites", name="imgsync", time=_format_seconds(report.seconds))
    for mirror in merge_names(outcomes, errors, gone):
        suite = _add_suite(root, mirror, outcomes[mirror], errors[mirror], timestamp=report.created_at)
        for tag in gone[mirror]:
            ET.SubElement(_add_case(suite, mirror, str(tag.destination), 0), "skipped", message=sanitize_short(tag.description))
        _set_counts(suite)
    _set_counts(root)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _add_suite(root: ET.Element, mirror: str, outcomes: list[Outcome], errors: list[PlanError], *, timestamp: str) -> ET.Element:
    seconds = _format_seconds(sum(outcome.seconds for outcome in outcomes))
    suite = ET.SubElement(root, "testsuite", name=sanitize_short(mirror) or "imgsync", time=seconds)
    if timestamp:
        suite.set("timestamp", sanitize_short(timestamp))
    for outcome in outcomes:
        case = _add_case(suite, mirror, str(outcome.change.destination), outcome.seconds)
        if outcome.result in _WRITERS:
            _WRITERS[outcome.result](case, outcome)
    for error in errors:
        case = _add_case(suite, mirror, error.reference, 0)
        if error.later:
            ET.SubElement(case, "skipped", message=sanitize_short(error.message))
        else:
            _add_detail(
                ET.SubElement(case, "error", message=sanitize_short(error.message), type="not-applied" if error.planned else "unplanned"),
                error.message,
                error.hint,
            )
    return suite


def _add_case(suite: ET.Element, mirror: str, reference: str, seconds: float) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=sanitize_short(mirror), name=sanitize_short(reference), time=_format_seconds(seconds))


def _add_failure(case: ET.Element, outcome: Outcome) -> None:
    message = outcome.error or outcome.change.reason
    detail = f"{outcome.change.source} → {outcome.change.destination}: {message}"
    _add_detail(ET.SubElement(case, "failure", message=sanitize_short(message), type=outcome.result), detail, outcome.hint)


def _add_held(case: ET.Element, outcome: Outcome) -> None:
    ET.SubElement(case, "skipped", message=sanitize_short(outcome.change.reason))


def _add_remaining(case: ET.Element, outcome: Outcome) -> None:
    ET.SubElement(case, "skipped", message=sanitize_short(f"left for the next run: {outcome.change.reason}"))


_WRITERS: dict[Result, _Writer] = {Result.FAILED: _add_failure, Result.REFUSED: _add_failure, Result.HELD: _add_held, Result.REMAINING: _add_remaining}


def _add_detail(element: ET.Element, message: str, hint: str) -> None:
    element.text = "\n".join(sanitize_short(line) for line in (message, f"hint: {hint}" if hint else "") if line)


def _set_counts(element: ET.Element) -> None:
    for name, path in (("tests", "testcase"), ("failures", "testcase/failure"), ("errors", "testcase/error"), ("skipped", "testcase/skipped")):
        element.set(name, str(len(element.findall(f".//{path}"))))


def _format_seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
