"""A report for people: what failed and what is left first, then one line that sums it all up."""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.apply.report import Report, Result
from imgsync.plan.model import Action, Change
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_bytes, format_duration


def render_report_table(report: Report) -> str:
    """Return *report* as text, lines ending in newlines."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    for outcome in report.outcomes:
        if outcome.result is Result.FAILED:
            yield f"  x {_way(outcome.change)}   failed   {sanitize_short(outcome.error or '')}"
        elif outcome.result is Result.REFUSED:
            yield f"  ! {sanitize_short(outcome.change.destination)}   refused   {sanitize_short(outcome.error or outcome.change.reason)}"
        if outcome.result in {Result.FAILED, Result.REFUSED} and outcome.hint:
            yield f"      hint: {sanitize_short(outcome.hint)}"
    yield from (f"    note: {sanitize_short(note)}" for note in report.notes)
    remaining = report.count(Result.REMAINING)
    copied = report.count(Result.COPIED)
    others = [f"{report.count(result)} {result}" for result in (Result.DELETED, Result.HELD) if report.count(result)]
    if copied or others or not (report.count(Result.FAILED) or remaining):
        moved = f"{report.total('blobs_copied')} blobs, {format_bytes(report.total('bytes_copied'))}"
        kept = ", ".join([f"{report.count(Result.KEPT)} kept", *others])
        yield (
            f"Copied {copied} {'image' if copied == 1 else 'images'} ({moved}) in {format_duration(report.seconds)}; "
            f"{report.total('blobs_mounted')} blobs mounted, {report.total('blobs_present')} were already there; "
            f"{kept}."
        )
    if remaining:
        yield f"Stopped ({sanitize_short(report.stopped) or 'an image failed'}): {remaining} left. Run it again to go on."
    counted = ((report.count(Result.FAILED), "failed"), (report.count(Result.REFUSED), "refused"), (len(report.errors), "could not be planned"))
    bad = [f"{count} {word}" for count, word in counted if count]
    yield f"{', '.join(bad)}." if bad else "Nothing failed."


def _way(change: Change) -> str:
    """Return from where to where *change* goes; what is deleted comes from nowhere."""
    destination = sanitize_short(change.destination)
    return destination if change.action is Action.DELETE else f"{sanitize_short(change.source)} → {destination}"
