"""The notes of a report, with what its copies left out."""

from __future__ import annotations

from imgsync.apply.report import Report
from imgsync.plan.model import summarize_left_out


def list_report_notes(report: Report) -> list[str]:
    """Return the notes of *report*, a line each."""
    left_out = (f"{outcome.change.destination} {summarize_left_out(outcome.left_out)}" for outcome in report.outcomes if outcome.left_out)
    return [*report.notes, *left_out]
