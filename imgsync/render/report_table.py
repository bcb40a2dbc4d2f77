"""A report for people: what failed and what is left first, then one line that sums it all up."""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.plan.model import Action, Change
from imgsync.render.safe import safe
from imgsync.report import Report
from imgsync.units import format_bytes, format_duration


def report_table(report: Report) -> str:
    """Return *report* as text, lines ending in newlines."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    for outcome in report.outcomes:
        if outcome.result == "failed":
            yield f"  x {_way(outcome.change)}   failed   {safe(outcome.error or '')}"
        elif outcome.result == "refused":
            yield f"  ! {safe(outcome.change.destination)}   refused   {safe(outcome.error or outcome.change.reason)}"
        if outcome.result in {"failed", "refused"} and outcome.hint:
            yield f"      hint: {safe(outcome.hint)}"
    remaining = report.count("remaining")
    copied = report.count("copied")
    if copied or not (report.count("failed") or remaining):
        moved = f"{report.total('blobs_copied')} blobs, {format_bytes(report.total('bytes_copied'))}"
        yield (
            f"Copied {copied} {'image' if copied == 1 else 'images'} ({moved}) in {format_duration(report.seconds)}; "
            f"{report.total('blobs_mounted')} blobs mounted, {report.total('blobs_present')} were already there; {report.count('kept')} kept."
        )
    if deleted := report.count("deleted"):
        yield f"Deleted {deleted} {'tag' if deleted == 1 else 'tags'}."
    if remaining:
        yield f"Stopped ({report.stopped or 'an image failed'}): {remaining} left. Run it again to go on."
    counted = ((report.count("failed"), "failed"), (report.count("refused"), "refused"), (len(report.errors), "could not be planned"))
    bad = [f"{count} {word}" for count, word in counted if count]
    yield f"{', '.join(bad)}." if bad else "Nothing failed."


def _way(change: Change) -> str:
    """Return from where to where *change* goes; what is deleted comes from nowhere."""
    destination = safe(change.destination)
    return destination if change.action is Action.DELETE else f"{safe(change.source)} → {destination}"
