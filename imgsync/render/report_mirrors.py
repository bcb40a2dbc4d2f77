"""The mirrors of a report: counts, bars, and charts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from imgsync.apply.report import Report, Result
from imgsync.plan.model import PlanError
from imgsync.render.bar_segments import Segment, make_segments
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_bytes, format_count, format_duration

RESULT_NAMES: Mapping[str, str] = {
    "failed": "Failed",
    "errors": "Not planned",
    "unapplied": "Not applied",
    "refused": "Refused",
    "remaining": "Left",
    "deleted": "Deleted",
    "held": "On hold",
    "copied": "Copied",
    "kept": "Up to date",
    "gone": "Gone at the source",
}
# A browser is slow with more lines; a chart is hard to read with more bars.
_MAX_LINES = 200
_MAX_BARS = 10


@dataclass(frozen=True, slots=True)
class Count:
    """How many images have one result."""

    kind: str
    name: str
    count: str


@dataclass(frozen=True, slots=True)
class MirrorLine:
    """One mirror: its results, bytes and time."""

    name: str
    counts: tuple[Count, ...]
    segments: tuple[Segment, ...]
    size: str
    duration: str


@dataclass(frozen=True, slots=True)
class MirrorTable:
    """The lines of a report's mirrors, and how many were left out."""

    lines: tuple[MirrorLine, ...]
    omitted: int


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart."""

    label: str
    value: str
    width: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars with a title and one sentence."""

    name: str
    title: str
    lead: str
    bars: tuple[Bar, ...]


@dataclass(slots=True)
class MirrorTotals:
    """The sums of one mirror."""

    results: Counter[str]
    bytes_copied: int = 0
    seconds: float = 0.0


def list_counts(report: Report) -> tuple[Count, ...]:
    """Return the counts of *report* that are not zero, and copied."""
    results: Counter[str] = Counter({result.value: report.count(result) for result in Result})
    results.update(_name_kind(error) for error in report.errors)
    results["gone"] = len(report.gone)
    return _name_counts(results, always="copied")


def sum_mirrors(report: Report) -> Mapping[str, MirrorTotals]:
    """Return the sums of each mirror in *report*."""
    totals: defaultdict[str, MirrorTotals] = defaultdict(lambda: MirrorTotals(Counter()))
    for (mirror, result), sums in report.sums.items():
        found = totals[mirror]
        found.results[result.value] += sums.count
        found.bytes_copied += sums.bytes_copied
        found.seconds += sums.seconds
    for kept in report.kept:
        if len(kept):
            totals[kept.mirror].results["kept"] += len(kept)
    for error in report.errors:
        totals[error.mirror].results[_name_kind(error)] += 1
    return totals


def list_mirrors(totals: Mapping[str, MirrorTotals]) -> MirrorTable:
    """Return a line for each mirror, those with problems first."""
    ordered = sorted(totals.items(), key=lambda item: (-_count_problems(item[1].results), -item[1].bytes_copied, item[0]))
    lines = tuple(_make_line(name, found) for name, found in ordered[:_MAX_LINES])
    return MirrorTable(lines, len(ordered) - len(lines))


def list_charts(totals: Mapping[str, MirrorTotals]) -> Iterator[Chart]:
    """Yield charts of bytes and time, if several mirrors have any."""
    sizes = Counter({name: found.bytes_copied for name, found in totals.items() if found.bytes_copied > 0})
    seconds = {name: found.seconds for name, found in totals.items() if found.seconds > 0}
    if len(sizes) > 1:
        yield Chart("bytes", "Transferred by mirror", "Bytes that were sent; blobs already there cost none.", _make_bars(sizes, format_bytes))
    if len(seconds) > 1:
        lead = "The times of all images added up; several are copied at once."
        yield Chart("time", "Time by mirror", lead, _make_bars(seconds, format_duration))


def _count_problems(results: Counter[str]) -> int:
    return results[Result.FAILED] + results["errors"] + results["unapplied"] + results[Result.REFUSED]


def _make_line(name: str, totals: MirrorTotals) -> MirrorLine:
    return MirrorLine(
        sanitize_short(name),
        _name_counts(totals.results),
        tuple(make_segments({kind: totals.results[kind] for kind in RESULT_NAMES}, digits=2)),
        format_bytes(totals.bytes_copied) if totals.bytes_copied else "–",
        format_duration(totals.seconds) if totals.seconds else "–",
    )


def _name_counts(results: Counter[str], *, always: str = "") -> tuple[Count, ...]:
    return tuple(Count(kind, name, f"{results[kind]:,}") for kind, name in RESULT_NAMES.items() if results[kind] or kind == always)


def _make_bars(values: Mapping[str, Any], show: Callable[[Any], str]) -> tuple[Bar, ...]:
    ordered = sorted(values.items(), key=lambda item: -item[1])
    shown = [(sanitize_short(name), value) for name, value in ordered[:_MAX_BARS]]
    if others := ordered[_MAX_BARS:]:
        shown.append((format_count(len(others), "other"), sum(value for _, value in others)))
    largest = max(value for _, value in shown)
    return tuple(Bar(name, show(value), f"{max(0.5, 100 * value / largest):.1f}") for name, value in shown)


def _name_kind(error: PlanError) -> str:
    """Return what *error* counts as."""
    if error.later:
        return "remaining"
    return "unapplied" if error.planned else "errors"
