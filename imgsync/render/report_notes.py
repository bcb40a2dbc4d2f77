"""The notes of a report, with what its copies left out."""

from __future__ import annotations

from collections import defaultdict

from imgsync.apply.report import Report
from imgsync.filters.quote_tags import quote_tags
from imgsync.plan.model import summarize_left_out


def list_report_notes(report: Report) -> list[str]:
    """Return the notes of *report*; images with equal ones share them."""
    images: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    results = {result for (_, result), sums in report.sums.items() if sums.left_out}
    for outcome in report.select(*results):
        if outcome.left_out:
            images[outcome.left_out].append(str(outcome.change.destination))
    return [*report.notes, *(f"{summarize_left_out(parts)} ({quote_tags(found)})" for parts, found in images.items())]
