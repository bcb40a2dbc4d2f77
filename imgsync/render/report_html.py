"""
A report as one self-contained HTML page.

No external resources; for phones, paper and dark mode too. The one script searches the list of copies; the page can be read without it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from imgsync import __version__
from imgsync.apply.report import Report, Result
from imgsync.render.report_folds import list_folds, list_largest
from imgsync.render.report_mirrors import list_charts, list_counts, list_mirrors, sum_mirrors
from imgsync.render.report_notes import list_report_notes
from imgsync.render.report_problems import list_problems, list_tasks
from imgsync.text.code_spans import split_code_spans
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import choose_noun, format_bytes, format_count, format_duration, parse_timestamp

if TYPE_CHECKING:
    from jinja2 import Template

_MAX_NOTES = 2_000
_BAD = (Result.FAILED, Result.REFUSED)


def render_report_html(report: Report) -> str:
    """Return *report* as a page, failures first; kept tags are only counted."""
    template, style, script = _load_templates()
    notes = list_report_notes(report)
    totals = sum_mirrors(report)
    return template.render(
        style=style,
        script=script,
        policy=_make_policy(style, script),
        plan_id=sanitize_short(report.plan_id),
        created_at=sanitize_short(report.created_at),
        ended=_format_moment(report.created_at),
        version=__version__,
        verdict=_format_verdict(report),
        mood=_choose_mood(report),
        counts=list_counts(report),
        facts=list(_list_facts(report)),
        tasks=list_tasks(report),
        problems=list_problems(report),
        folds=list_folds(report),
        mirrors=list_mirrors(totals),
        charts=list(list_charts(totals)),
        largest=list_largest(report),
        notes=[sanitize_short(note) for note in notes[:_MAX_NOTES]],
        notes_omitted=max(0, len(notes) - _MAX_NOTES),
    )


@functools.cache
def _load_templates() -> tuple[Template, str, str]:
    """Return the page's template, its style and its script."""
    # A late import: few runs write this page.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("imgsync.render", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["code_spans"] = split_code_spans
    style, script = (loader.get_source(environment, name)[0] for name in ("report.css", "report.js"))
    return environment.get_template("report.html"), style, script


def _make_policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy that allows only *style* and *script*."""
    return f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _format_verdict(report: Report) -> str:
    errors = [error for error in report.errors if not error.later]
    others = sum(error.planned for error in errors)
    remaining = report.count(Result.REMAINING) + len(report.errors) - len(errors)
    counts = (
        (report.count(Result.FAILED), "image", "failed"),
        (report.count(Result.REFUSED), "image", "refused"),
        (len(errors) - others, "reference", "could not be planned"),
        (others, "part", "of the plan not applied"),
        (remaining, "image", "left for the next run"),
    )
    found = [f"{count:,} {choose_noun(count, name)} {phrase}" for count, name, phrase in counts if count]
    return ", ".join(found) or _format_success(report)


def _format_success(report: Report) -> str:
    done = [f"{result} {format_count(report.count(result), 'image')}" for result in (Result.COPIED, Result.DELETED) if report.count(result)]
    return ", ".join(done).capitalize() or "Everything is up to date"


def _format_moment(text: str) -> str:
    moment = parse_timestamp(text)
    return sanitize_short(text) if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def _choose_mood(report: Report) -> str:
    if any(report.count(result) for result in _BAD) or any(not error.later for error in report.errors):
        return "failed"
    return "remaining" if report.count(Result.REMAINING) or report.errors else "copied"


def _list_facts(report: Report) -> Iterator[tuple[str, str]]:
    yield "Transferred", format_bytes(report.total("bytes_copied"))
    yield "Duration", format_duration(report.seconds)
    for name, field in (("Blobs sent", "blobs_copied"), ("Blobs mounted", "blobs_mounted"), ("Blobs already there", "blobs_present")):
        if count := report.total(field):
            yield name, f"{count:,}"
