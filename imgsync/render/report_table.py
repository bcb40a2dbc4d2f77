"""A report as text for a terminal: failures, notes, then a summary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from imgsync.apply.report import Outcome, Report, Result, SharedCopies, Sums
from imgsync.plan.model import Action, PlanError
from imgsync.render.gone_rows import render_gone
from imgsync.render.left_work import describe_errors, describe_left
from imgsync.render.mirror_sections import merge_names
from imgsync.render.problems import Problem, make_problem, render_problems
from imgsync.render.reasons import render_note
from imgsync.render.report_notes import list_report_notes
from imgsync.text.layout import PLAIN, Layout, wrap_on_terminal
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_bytes, format_count, format_duration

_MAX_NOTES = 50


def render_report_table(report: Report, *, layout: Layout = PLAIN, has_plan: bool = False) -> str:
    """Return *report* as text; *has_plan* if the plan's errors are above."""
    return "\n".join(_render_lines(report, layout, has_plan=has_plan)) + "\n"


def _render_lines(report: Report, layout: Layout, *, has_plan: bool) -> Iterator[str]:
    yield from _render_problems(report, layout, has_plan=has_plan)
    notes = list_report_notes(report)
    for note in notes[:_MAX_NOTES]:
        yield from render_note("note", sanitize_short(note), layout)
    if len(notes) > _MAX_NOTES:
        yield f"    … and {format_count(len(notes) - _MAX_NOTES, 'more note')} (`-o json` lists them)"
    yield from render_gone(report.gone, layout, most=_MAX_NOTES, listed_by="`-o json`")
    for line in _render_summary(report, has_plan=has_plan):
        yield from wrap_on_terminal(line, layout, rest="  ")


def _render_problems(report: Report, layout: Layout, *, has_plan: bool) -> Iterator[str]:
    """Yield failures, refusals and errors, by mirror."""
    found: defaultdict[str, list[Problem]] = defaultdict(list)
    errors: tuple[PlanError, ...] = () if has_plan else report.errors
    for outcome in report.select(Result.FAILED, Result.REFUSED):
        found[outcome.change.mirror].append(_make_problem(outcome))
    for error in errors:
        found[error.mirror].append(make_problem(error))
    for mirror in merge_names(found):
        yield sanitize_short(mirror) or "no mirror"
        yield from render_problems(found[mirror], layout)
        yield ""


def _make_problem(outcome: Outcome) -> Problem:
    change = outcome.change
    if outcome.result is Result.REFUSED:
        return Problem("!", (str(change.destination),), "refused", outcome.error or change.reason, outcome.hint)
    # A deleted tag has no source.
    references = (str(change.destination),) if change.action is Action.DELETE else (str(change.source), str(change.destination))
    return Problem("x", references, "failed", outcome.error or "", outcome.hint)


def _render_summary(report: Report, *, has_plan: bool) -> Iterator[str]:
    remaining = report.count(Result.REMAINING)
    others = [f"{report.count(result)} {result}" for result in (Result.DELETED, Result.HELD) if report.count(result)]
    others += [f"{len(report.gone)} gone at the source"] if report.gone else []
    if report.count(Result.COPIED) or others or not (report.count(Result.FAILED) or remaining):
        yield _summarize_copies(report, others)
    if remaining:
        yield describe_left(report, f"{remaining} left")
    counts = ((report.count(Result.FAILED), "failed"), (report.count(Result.REFUSED), "refused"))
    problems = [f"{count} {phrase}" for count, phrase in counts if count]
    problems += describe_errors(report, "could not be planned, see above" if has_plan else "could not be planned")
    yield f"{', '.join(problems)}." if problems else "Nothing failed."


def _summarize_copies(report: Report, others: Sequence[str]) -> str:
    """Return what was copied, and what needed no copy."""
    sums = report.sums.items()
    copied = [found for (_, result), found in sums if result is Result.COPIED]
    incomplete = _format_sent([found for (_, result), found in sums if result is not Result.COPIED and found.blobs_copied])
    shared = [one for one in report.shared if one.blobs_copied]
    what = "nothing"
    if copied:
        # Shards copy the blobs that several images need apart from the images.
        what = f"{format_count(sum(found.count for found in copied), 'image')} ({_format_sent([*copied, *shared])})"
    elif shared:
        what = f"{format_count(sum(one.blobs_copied for one in shared), 'shared blob')} ({format_bytes(sum(one.bytes_copied for one in shared))})"
    mounted, present = report.total("blobs_mounted"), report.total("blobs_present")
    blobs = [f"{format_count(mounted, 'blob')} mounted"] if mounted else []
    blobs += [f"{format_count(present, 'blob')} already at the destination"] if present else []
    parts = (f"Copied {what} in {format_duration(report.seconds)}", ", ".join(blobs), incomplete and f"{incomplete} sent for images that are not complete")
    kept = [f"{report.count(Result.KEPT)} up to date"] if report.count(Result.KEPT) else []
    return "; ".join(filter(None, (*parts, ", ".join([*kept, *others])))) + "."


def _format_sent(outcomes: Sequence[Sums | SharedCopies]) -> str:
    """Return how much the copies of *outcomes* sent, "" without one."""
    if not outcomes:
        return ""
    return f"{format_count(sum(one.blobs_copied for one in outcomes), 'blob')}, {format_bytes(sum(one.bytes_copied for one in outcomes))}"
