"""A report as text for a terminal: failures, notes, then a summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgsync.apply.report import Outcome, Report, Result
from imgsync.plan.model import Action, Change
from imgsync.render.report_notes import list_report_notes
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_bytes, format_count, format_duration

_MAX_NOTES = 50


def render_report_table(report: Report) -> str:
    """Return *report* as text."""
    return "\n".join(_render_lines(report)) + "\n"


def _render_lines(report: Report) -> Iterator[str]:
    for outcome in report.outcomes:
        if outcome.result in {Result.FAILED, Result.REFUSED}:
            yield from _render_problem(outcome)
    yield from _render_notes(report)
    yield from _render_gone(report)
    remaining = report.count(Result.REMAINING)
    others = [f"{report.count(result)} {result}" for result in (Result.DELETED, Result.HELD) if report.count(result)]
    others += [f"{len(report.gone)} gone at the source"] if report.gone else []
    if report.count(Result.COPIED) or others or not (report.count(Result.FAILED) or remaining):
        yield _render_summary(report, others)
    if remaining:
        yield f"Stopped ({sanitize_short(report.stopped) or 'an image failed'}): {remaining} left. Run it again to continue."
    counts = ((report.count(Result.FAILED), "failed"), (report.count(Result.REFUSED), "refused"), (len(report.errors), "could not be planned"))
    problems = [f"{count} {phrase}" for count, phrase in counts if count]
    yield f"{', '.join(problems)}." if problems else "Nothing failed."


def _render_notes(report: Report) -> Iterator[str]:
    notes = list_report_notes(report)
    yield from (f"    note: {sanitize_short(note)}" for note in notes[:_MAX_NOTES])
    if len(notes) > _MAX_NOTES:
        yield f"    … and {len(notes) - _MAX_NOTES} more notes (`-o json` lists them)"


def _render_gone(report: Report) -> Iterator[str]:
    yield from (f"  . {sanitize_short(str(tag.destination))}   kept   {sanitize_short(tag.description)}" for tag in report.gone[:_MAX_NOTES])
    if len(report.gone) > _MAX_NOTES:
        yield f"    … and {len(report.gone) - _MAX_NOTES} more gone at the source (`-o json` lists them)"


def _render_problem(outcome: Outcome) -> Iterator[str]:
    change = outcome.change
    if outcome.result is Result.FAILED:
        yield f"  x {_format_way(change)}   failed   {sanitize_short(outcome.error or '')}"
    else:
        yield f"  ! {sanitize_short(str(change.destination))}   refused   {sanitize_short(outcome.error or change.reason)}"
    if outcome.hint:
        yield f"      hint: {sanitize_short(outcome.hint)}"


def _render_summary(report: Report, others: Sequence[str]) -> str:
    transferred = f"{format_count(report.total('blobs_copied'), 'blob')}, {format_bytes(report.total('bytes_copied'))}"
    return (
        f"Copied {format_count(report.count(Result.COPIED), 'image')} ({transferred}) in {format_duration(report.seconds)}; "
        f"{format_count(report.total('blobs_mounted'), 'blob')} mounted, {report.total('blobs_present')} already at the destination; "
        f"{', '.join([f'{report.count(Result.KEPT)} kept', *others])}."
    )


def _format_way(change: Change) -> str:
    """Return source and destination; a deleted tag has no source."""
    destination = sanitize_short(str(change.destination))
    return destination if change.action is Action.DELETE else f"{sanitize_short(str(change.source))} → {destination}"
