"""
A report as one self-contained HTML page.

No scripts and no external resources; for phones and dark mode too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from imgsync import __version__
from imgsync.apply.report import Outcome, Report, Result
from imgsync.oci.spec.digest import shorten_digest
from imgsync.plan.model import PlanError
from imgsync.render.plan_summary import describe_reason
from imgsync.render.report_notes import list_report_notes
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_bytes, format_count, format_duration

# A browser is slow with more rows; a chart is hard to read with more bars.
_MAX_ROWS = 2_000
_MAX_BARS = 10
_RESULTS = (Result.COPIED, Result.KEPT, Result.HELD, Result.REFUSED, Result.FAILED, Result.DELETED, Result.REMAINING)
_BAD = (Result.FAILED, Result.REFUSED)
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    kind: str  # code, name, number or text


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    title: str
    lead: str
    columns: tuple[_Column, ...]
    rows: tuple[tuple[str, ...], ...]
    omitted: int


@dataclass(frozen=True, slots=True)
class _Bar:
    label: str
    value: str
    percent: str


@dataclass(frozen=True, slots=True)
class _Chart:
    title: str
    bars: tuple[_Bar, ...]


_IMAGE = (_Column("Image", "code"), _Column("Mirror", "name"))
_WHY = (_Column("Why", "text"),)
_PROBLEM = (_Column("Error", "text"), _Column("Hint", "text"))
_FAILURE = (
    _Column("Source", "code"),
    _Column("Destination", "code"),
    _Column("Mirror", "name"),
    *_PROBLEM,
)
_ERROR = (_Column("Reference", "code"), _Column("Mirror", "name"), *_PROBLEM)
_COPY = (*_IMAGE, _Column("Digest", "code"), _Column("Transferred", "number"), _Column("Duration", "number"))


def render_report_html(report: Report) -> str:
    """Return *report* as a page, failures first; kept tags are only counted."""
    # A late import: few runs write this page.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("imgsync.render", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html").render(
        plan_id=sanitize_short(report.plan_id),
        created_at=sanitize_short(report.created_at),
        version=__version__,
        verdict=_format_verdict(report),
        is_good=not (report.errors or any(report.count(result) for result in (*_BAD, Result.REMAINING))),
        totals=_build_totals(report),
        notes=[sanitize_short(note) for note in list_report_notes(report)[:_MAX_ROWS]],
        tables=[table for table in _build_tables(report) if table.rows],
        charts=[chart for chart in _build_charts(report) if chart.bars],
    )


def _format_verdict(report: Report) -> str:
    counts = Counter(outcome.result for outcome in report.outcomes)
    bad = [f"{counts[result]} {result}" for result in _BAD if counts[result]]
    errors = [f"{len(report.errors)} could not be planned"] if report.errors else []
    left = [f"{counts[Result.REMAINING]} left for the next run"] if counts[Result.REMAINING] else []
    return ", ".join([*bad, *errors, *left]) or "Nothing failed"


def _build_totals(report: Report) -> list[tuple[str, str]]:
    counts = Counter(outcome.result for outcome in report.outcomes)
    results = [(result.capitalize(), str(counts[result])) for result in _RESULTS]
    blobs = f"{report.total('blobs_copied')} copied, {report.total('blobs_mounted')} mounted, {report.total('blobs_present')} already at the destination"
    return [*results, ("Transferred", format_bytes(report.total("bytes_copied"))), ("Blobs", blobs), ("Duration", format_duration(report.seconds))]


def _build_tables(report: Report) -> Iterator[_Table]:
    by_result: defaultdict[Result, list[Outcome]] = defaultdict(list)
    for outcome in report.outcomes:
        by_result[outcome.result].append(outcome)
    stopped = f"Stopped ({sanitize_short(report.stopped) or 'an image failed'}). Run it again to continue."
    yield _build_table("failed", "Failed", "", _FAILURE, by_result[Result.FAILED], _list_failure_cells)
    yield _build_table("errors", "Could not be planned", "", _ERROR, report.errors, _list_error_cells)
    yield _build_table("remaining", "Left for the next run", stopped, _IMAGE, by_result[Result.REMAINING], _list_image_cells)
    yield _build_table("refused", "Refused", "The destination stays unchanged.", (*_IMAGE, *_WHY), by_result[Result.REFUSED], _list_refused_cells)
    yield _build_table("deleted", "Deleted", "", (*_IMAGE, *_WHY), by_result[Result.DELETED], _make_reason_cells(""))
    yield _build_table("held", "On hold", "", (*_IMAGE, *_WHY), by_result[Result.HELD], _make_reason_cells(report.created_at))
    yield _build_table("copied", "Copied", "", _COPY, by_result[Result.COPIED], _list_copied_cells)


def _build_table(name: str, title: str, lead: str, columns: tuple[_Column, ...], items: Sequence[_Row], cells: Callable[[_Row], tuple[str, ...]]) -> _Table:
    rows = tuple(tuple(sanitize_short(cell) for cell in cells(one)) for one in items[:_MAX_ROWS])
    return _Table(name, f"{title} ({len(items)})", lead, columns, rows, len(items) - len(rows))


def _list_failure_cells(outcome: Outcome) -> tuple[str, ...]:
    return str(outcome.change.source), str(outcome.change.destination), outcome.change.mirror, outcome.error or "", outcome.hint


def _list_error_cells(error: PlanError) -> tuple[str, ...]:
    return error.reference, error.mirror, error.message, error.hint


def _list_image_cells(outcome: Outcome) -> tuple[str, ...]:
    return str(outcome.change.destination), outcome.change.mirror


def _list_refused_cells(outcome: Outcome) -> tuple[str, ...]:
    return *_list_image_cells(outcome), outcome.error or outcome.change.reason


def _make_reason_cells(now: str) -> Callable[[Outcome], tuple[str, ...]]:
    return lambda outcome: (*_list_image_cells(outcome), describe_reason(outcome.change, now=now))


def _list_copied_cells(outcome: Outcome) -> tuple[str, ...]:
    return *_list_image_cells(outcome), shorten_digest(outcome.digest or ""), format_bytes(outcome.bytes_copied), format_duration(outcome.seconds)


def _build_charts(report: Report) -> Iterator[_Chart]:
    mirrors: Counter[str] = Counter()
    images: Counter[str] = Counter()
    for outcome in report.outcomes:
        mirrors[outcome.change.mirror] += outcome.bytes_copied
        images[str(outcome.change.destination)] += outcome.bytes_copied
    yield _build_chart("Transferred per mirror", mirrors)
    yield _build_chart("Largest transfers", images)


def _build_chart(title: str, sizes: Counter[str]) -> _Chart:
    shown = [(name, size) for name, size in sizes.most_common(_MAX_BARS) if size > 0]
    rest = sum(size for size in sizes.values()) - sum(size for _, size in shown)
    others = len([size for size in sizes.values() if size > 0]) - len(shown)
    if others:
        shown.append((format_count(others, "other"), rest))
    largest = max((size for _, size in shown), default=1)
    return _Chart(title, tuple(_Bar(sanitize_short(name), format_bytes(size), f"{max(0.5, 100 * size / largest):.1f}") for name, size in shown))
