"""A report as Markdown, for comments and job summaries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from imgsync import __version__
from imgsync.apply.report import Outcome, Report, Result
from imgsync.oci.spec.digest import shorten_digest
from imgsync.plan.gone_tag import GoneTag
from imgsync.render.left_work import describe_errors, describe_left, name_errors
from imgsync.render.limited_page import Block, Entry, render_limited_page
from imgsync.render.markdown import format_code, format_error, format_prose
from imgsync.render.plan_summary import describe_reason
from imgsync.render.refused_lines import Refusal, yield_refused
from imgsync.render.report_notes import list_report_notes
from imgsync.text.units import format_bytes, format_count, format_duration

MARKER = "<!-- imgsync-report -->"
# In reading order.
_RESULTS = (Result.FAILED, Result.REMAINING, Result.REFUSED, Result.DELETED, Result.HELD, Result.COPIED, Result.KEPT)


def render_report_markdown(report: Report, *, limit: int = 60_000) -> str:
    """
    Return *report* as Markdown.

    The first line is a marker to find the comment again. Kept tags are only counted. The least important lines are omitted first: copied, held, deleted, …

    Args:
        report: The report.

        limit: The most UTF-16 units, at least 1,000.

    Raises:
        ValueError: *limit* is under 1,000.
    """
    page = _Page(report)
    kinds = ("outcome", "error", "tag", "note")
    return render_limited_page(_render_opening(report), page.blocks, page.yield_entries(), limit=limit, kinds=kinds, shown_by="imgsync show report.json")


def _render_opening(report: Report) -> str:
    counts = {result: report.count(result) for result in Result}
    found = [f"{counts[word]} {'up to date' if word is Result.KEPT else word}" for word in _RESULTS if counts[word]]
    errors = describe_errors(report, "could not be planned")
    gone = [f"{len(report.gone)} gone at the source"] if report.gone else []
    heading = f"### imgsync apply {format_code(report.plan_id[:64])} — {', '.join([*found, *gone, *errors]) or 'nothing to do'}"
    transferred = f"Transferred **{format_bytes(report.total('bytes_copied'))}** in {format_count(report.total('blobs_copied'), 'blob')}"
    others = f"{report.total('blobs_mounted')} mounted, {report.total('blobs_present')} already at the destination"
    ended = [f"ended {format_code(report.created_at[:40])}"] if report.created_at else []
    facts = " · ".join([f"{transferred}; {others}", format_duration(report.seconds), *ended, f"imgsync {__version__}"])
    return f"{MARKER}\n{heading}\n\n{facts}\n{_render_stopped(report, counts[Result.REMAINING])}"


def _render_stopped(report: Report, remaining: int) -> str:
    if not remaining:
        return ""
    sentence = describe_left(report, f"{format_count(remaining, 'image')} left", stopped="**Stopped**", clean=format_prose)
    return f"\n{sentence}\n"


class _Page:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._now = report.created_at
        self._failed = Block(head="\n**Failed**\n\n", more="- … and {} more failed\n")
        self._errors = Block(head=f"\n**{name_errors(report.errors)}**\n\n", more="- … and {} more errors\n")
        self._remaining = _build_table("Left for the next run", "| image | mirror |\n|---|---|\n")
        self._refused = Block(head="\n> [!CAUTION]\n> **Refused**; the destination stays unchanged:\n", more="> - … and {} more refused\n")
        self._deleted = _build_table("Deleted", "| tag | mirror | why |\n|---|---|---|\n")
        self._gone = _build_table("Gone at the source, kept here", "| tag | mirror | since | why |\n|---|---|---|---|\n")
        self._held = _build_table("On hold", "| image | mirror | why |\n|---|---|---|\n")
        self._copied = _build_table("Copied", "| image | mirror | digest | transferred | duration |\n|---|---|---|--:|--:|\n")
        self._notes = Block(head="\n**Notes**\n\n", more="- … and {} more notes\n")

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks in reading order."""
        return self._failed, self._errors, self._remaining, self._refused, self._deleted, self._gone, self._held, self._copied, self._notes

    def yield_entries(self) -> Iterator[Entry]:
        """Yield every line, the most important first."""
        yield from self._yield_result(Result.FAILED, self._failed, _render_failure)
        yield from (Entry(self._errors, partial(format_error, error), "error") for error in self._report.errors)
        yield from yield_refused(self._refused, map(_make_refusal, self._select(Result.REFUSED)), counts_as="outcome")
        yield from (Entry(self._notes, partial(_render_note, note), "note") for note in list_report_notes(self._report))
        yield from self._yield_result(Result.REMAINING, self._remaining, _render_remaining_row)
        yield from self._yield_result(Result.DELETED, self._deleted, _render_reason_row)
        yield from (Entry(self._gone, partial(_render_gone_row, tag), "tag") for tag in self._report.gone)
        yield from self._yield_result(Result.HELD, self._held, partial(_render_reason_row, now=self._now))
        yield from self._yield_result(Result.COPIED, self._copied, _render_copied_row)

    def _yield_result(self, result: Result, block: Block, line: Callable[[Outcome], str]) -> Iterator[Entry]:
        return (Entry(block, partial(line, outcome), "outcome") for outcome in self._select(result))

    def _select(self, result: Result) -> Iterator[Outcome]:
        return self._report.select(result)


def _build_table(title: str, headings: str) -> Block:
    return Block(head=f"\n<details><summary>{title}</summary>\n\n{headings}", tail="\n</details>\n", more="\n… and {} more.\n")


def _render_failure(outcome: Outcome) -> str:
    change = outcome.change
    hint = f"; hint: {format_prose(outcome.hint)}" if outcome.hint else ""
    way = f"{format_code(str(change.source))} → {format_code(str(change.destination))} (mirror {format_code(change.mirror)})"
    return f"- {way}: {format_prose(outcome.error or '')}{hint}"


def _make_refusal(outcome: Outcome) -> Refusal:
    change = outcome.change
    return Refusal(str(change.destination), change.mirror, outcome.error or change.reason, outcome.hint)


def _render_note(note: str) -> str:
    return f"- {format_prose(note)}"


def _render_remaining_row(outcome: Outcome) -> str:
    return f"| {_format_cell(str(outcome.change.destination))} | {_format_cell(outcome.change.mirror)} |"


def _render_reason_row(outcome: Outcome, *, now: str = "") -> str:
    change = outcome.change
    return f"| {_format_cell(str(change.destination))} | {_format_cell(change.mirror)} | {format_prose(describe_reason(change, now=now), in_table=True)} |"


def _render_gone_row(tag: GoneTag) -> str:
    cells = map(_format_cell, (str(tag.destination), tag.mirror, tag.day or "now"))
    return f"| {' | '.join(cells)} | {format_prose(tag.reason, in_table=True)} |"


def _render_copied_row(outcome: Outcome) -> str:
    change = outcome.change
    cells = map(_format_cell, (str(change.destination), change.mirror, shorten_digest(outcome.digest or "")))
    return f"| {' | '.join(cells)} | {format_bytes(outcome.bytes_copied)} | {format_duration(outcome.seconds)} |"


def _format_cell(text: str) -> str:
    return format_code(text, in_table=True)
