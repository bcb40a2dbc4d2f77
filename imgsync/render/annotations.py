"""Errors as annotations, which GitHub shows beside the line of a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from imgsync.apply.report import Outcome, Report, Result
from imgsync.config.model import Config
from imgsync.errors import FileError
from imgsync.plan.model import Action, Change, Plan, PlanError
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_line, sanitize_short
from imgsync.text.units import format_count

if TYPE_CHECKING:
    from imgsync.plan.findings import Finding, Verification

# GitHub shows no more of one kind per step.
_MOST = 10


@dataclass(frozen=True, slots=True)
class Annotation:
    """A message about a line, or without *file* about the step."""

    message: str
    file: str = ""
    line: int = 0
    column: int = 0


def render_annotations(annotations: Sequence[Annotation], *, level: str = "error") -> list[str]:
    """Return at most ten workflow commands; the last counts the rest."""
    shown = list(annotations) if len(annotations) <= _MOST else [*annotations[: _MOST - 1], Annotation(_count_rest(len(annotations), level))]
    return [_render(annotation, level) for annotation in shown]


def _count_rest(count: int, level: str) -> str:
    return f"and {format_count(count - _MOST + 1, f'more {level}')}; the log of this step shows all"


def annotate_file_errors(errors: Iterable[FileError]) -> list[Annotation]:
    """Return an annotation per configuration error."""
    found = []
    for error in errors:
        message = f"{error.path}: {error.message}" if error.path else error.message
        found.append(Annotation(_add_hint(message, error.hint), error.file, error.line, error.column))
    return found


def _annotate_errors(errors: Iterable[PlanError], config: Config) -> list[Annotation]:
    """Return an annotation at its mirror per error of a plan."""
    return [_place(error.mirror, _describe(error), config) for error in errors if not error.later]


def annotate_plan(plan: Plan, config: Config) -> list[Annotation]:
    """Return an annotation at its mirror per error and refused tag."""
    refused = plan.select({Action.REFUSE})
    return [*_annotate_errors(plan.errors, config), *(_place(change.mirror, _describe_refused(change), config) for change in refused)]


def annotate_verification(found: Verification, config: Config) -> list[Annotation]:
    """Return an annotation at its mirror per error and drift."""
    return [*_annotate_errors(found.errors, config), *(_place(finding.mirror, _describe_finding(finding), config) for finding in found.drift)]


def annotate_report(report: Report, config: Config) -> list[Annotation]:
    """Return an annotation at its mirror per error and failed image."""
    failed = report.select(Result.FAILED, Result.REFUSED)
    return [*_annotate_errors(report.errors, config), *(_place(outcome.change.mirror, _describe_outcome(outcome), config) for outcome in failed)]


def _describe(error: PlanError) -> str:
    message = error.message if error.reference in error.message else f"{error.reference}: {error.message}"
    return _add_hint(message, error.hint)


def _describe_outcome(outcome: Outcome) -> str:
    return _add_hint(f"{outcome.change.destination} {outcome.result}: {outcome.error or outcome.change.reason}", outcome.hint)


def _describe_refused(change: Change) -> str:
    return _add_hint(f"{change.destination} {Result.REFUSED}: {change.reason}", change.advice)


def _describe_finding(finding: Finding) -> str:
    return _add_hint(f"{finding.destination} {finding.condition}: {finding.reason}", finding.hint)


def _add_hint(message: str, hint: str) -> str:
    return f"{message} ({hint})" if hint else message


def _place(mirror: str, message: str, config: Config) -> Annotation:
    found = next((one for one in config.mirrors if one.name == mirror and one.file), None)
    return Annotation(message, found.file, found.line) if found else Annotation(message)


def _render(annotation: Annotation, level: str) -> str:
    return f"::{level} {','.join(_list_properties(annotation))}::{_escape_data(sanitize_short(annotation.message))}"


def _list_properties(annotation: Annotation) -> Iterator[str]:
    if annotation.file:
        yield f"file={_escape_property(annotation.file)}"
        yield from (f"{name}={number}" for name, number in (("line", annotation.line), ("col", annotation.column)) if number)
    yield "title=imgsync"


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(sanitize_line(text)).replace(":", "%3A").replace(",", "%2C")
