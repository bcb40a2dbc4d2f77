"""A report as one HTML page that needs nothing else: no script, no address, readable on a phone and in the dark."""

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
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_bytes, format_count, format_duration

# Rows of one table, and bars of one chart: beyond that a page serves nobody.
_MOST_ROWS = 2_000
_MOST_BARS = 10
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
    left_out: int


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
_FAILURE = (
    _Column("Source", "code"),
    _Column("Destination", "code"),
    _Column("Mirror", "name"),
    _Column("What came back", "text"),
    _Column("What to do", "text"),
)
_ERROR = (_Column("Reference", "code"), _Column("Mirror", "name"), _Column("What came back", "text"), _Column("What to do", "text"))
_COPY = (*_IMAGE, _Column("Digest", "code"), _Column("Moved", "number"), _Column("Took", "number"))


def render_report_html(report: Report) -> str:
    """Return *report* as a page: what failed first, then what is left, refused, deleted, on hold and copied; kept tags are only counted."""
    # Imported now: few runs make a page.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("imgsync.render", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html").render(
        plan_id=sanitize_short(report.plan_id),
        created_at=sanitize_short(report.created_at),
        version=__version__,
        verdict=_verdict(report),
        is_good=not (report.errors or any(report.count(result) for result in (*_BAD, Result.REMAINING))),
        totals=_totals(report),
        notes=[sanitize_short(note) for note in report.notes],
        tables=[table for table in _tables(report) if table.rows],
        charts=[chart for chart in _charts(report) if chart.bars],
    )


def _verdict(report: Report) -> str:
    counts = Counter(outcome.result for outcome in report.outcomes)
    bad = [f"{counts[result]} {result}" for result in _BAD if counts[result]]
    errors = [f"{len(report.errors)} could not be planned"] if report.errors else []
    left = [f"{counts[Result.REMAINING]} left for the next run"] if counts[Result.REMAINING] else []
    return ", ".join([*bad, *errors, *left]) or "Nothing failed"


def _totals(report: Report) -> list[tuple[str, str]]:
    counts = Counter(outcome.result for outcome in report.outcomes)
    results = [(result.capitalize(), str(counts[result])) for result in _RESULTS]
    blobs = f"{report.total('blobs_copied')} copied, {report.total('blobs_mounted')} mounted, {report.total('blobs_present')} already there"
    return [*results, ("Moved", format_bytes(report.total("bytes_copied"))), ("Blobs", blobs), ("Took", format_duration(report.seconds))]


def _tables(report: Report) -> Iterator[_Table]:
    of: defaultdict[Result, list[Outcome]] = defaultdict(list)
    for outcome in report.outcomes:
        of[outcome.result].append(outcome)
    stopped = f"Stopped ({sanitize_short(report.stopped) or 'an image failed'}). Run it again to go on."
    yield _table("failed", "Failed", "", _FAILURE, of[Result.FAILED], _failure)
    yield _table("errors", "Could not be planned", "", _ERROR, report.errors, _error)
    yield _table("remaining", "Left for the next run", stopped, _IMAGE, of[Result.REMAINING], _image)
    yield _table("refused", "Refused", "What the destination has stays as it is.", (*_IMAGE, *_WHY), of[Result.REFUSED], _refused)
    yield _table("deleted", "Deleted", "", (*_IMAGE, *_WHY), of[Result.DELETED], _with_reason(""))
    yield _table("held", "On hold", "", (*_IMAGE, *_WHY), of[Result.HELD], _with_reason(report.created_at))
    yield _table("copied", "Copied", "", _COPY, of[Result.COPIED], _copied)


def _table(name: str, title: str, lead: str, columns: tuple[_Column, ...], found: Sequence[_Row], cells: Callable[[_Row], tuple[str, ...]]) -> _Table:
    rows = tuple(tuple(sanitize_short(cell) for cell in cells(one)) for one in found[:_MOST_ROWS])
    return _Table(name, f"{title} ({len(found)})", lead, columns, rows, len(found) - len(rows))


def _failure(outcome: Outcome) -> tuple[str, ...]:
    return outcome.change.source, outcome.change.destination, outcome.change.mirror, outcome.error or "", outcome.hint


def _error(error: PlanError) -> tuple[str, ...]:
    return error.reference, error.mirror, error.message, error.hint


def _image(outcome: Outcome) -> tuple[str, ...]:
    return outcome.change.destination, outcome.change.mirror


def _refused(outcome: Outcome) -> tuple[str, ...]:
    return *_image(outcome), outcome.error or outcome.change.reason


def _with_reason(now: str) -> Callable[[Outcome], tuple[str, ...]]:
    return lambda outcome: (*_image(outcome), describe_reason(outcome.change, now=now))


def _copied(outcome: Outcome) -> tuple[str, ...]:
    return *_image(outcome), shorten_digest(outcome.digest or ""), format_bytes(outcome.bytes_copied), format_duration(outcome.seconds)


def _charts(report: Report) -> Iterator[_Chart]:
    mirrors: Counter[str] = Counter()
    images: Counter[str] = Counter()
    for outcome in report.outcomes:
        mirrors[outcome.change.mirror] += outcome.bytes_copied
        images[outcome.change.destination] += outcome.bytes_copied
    yield _chart("What each mirror moved", mirrors)
    yield _chart("The largest images", images)


def _chart(title: str, sizes: Counter[str]) -> _Chart:
    shown = [(name, size) for name, size in sizes.most_common(_MOST_BARS) if size > 0]
    rest = sum(size for size in sizes.values()) - sum(size for _, size in shown)
    others = len([size for size in sizes.values() if size > 0]) - len(shown)
    if others:
        shown.append((format_count(others, "other"), rest))
    largest = max((size for _, size in shown), default=1)
    return _Chart(title, tuple(_Bar(sanitize_short(name), format_bytes(size), f"{max(0.5, 100 * size / largest):.1f}") for name, size in shown))
