"""A report as a comment or a job's summary: what failed first, what is left, what was refused; what went well is folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from imgsync import __version__
from imgsync.apply.report import Outcome, Report, Result
from imgsync.oci.spec.digest import shorten_digest
from imgsync.render.limited_page import MIN_LIMIT, Block, Entry, count_characters, fill_blocks, format_omissions
from imgsync.render.markdown import format_code, format_error, format_prose
from imgsync.render.plan_summary import describe_reason
from imgsync.text.units import format_bytes, format_count, format_duration

MARKER = "<!-- imgsync-report -->"
_CLOSING_RESERVE = 200
# In the order they are read and, but for notes, of their importance.
_WORDS = (Result.FAILED, Result.REMAINING, Result.REFUSED, Result.DELETED, Result.HELD, Result.COPIED, Result.KEPT)


def render_report_markdown(report: Report, *, limit: int = 60_000) -> str:
    """
    Return *report* as Markdown of at most *limit* characters (UTF-16 units), its first line a marker by which a comment is found again.

    What does not fit is left out from the least important end (copied, held, deleted, …, failed) and counted; kept tags are only counted.

    Raises:
        ValueError: *limit* is under 1,000.
    """
    if limit < MIN_LIMIT:
        raise ValueError(f"a page needs at least {MIN_LIMIT} characters, not {limit}")
    opening = _opening(report)
    page = _Page(report)
    left = fill_blocks(page.entries(), room=limit - count_characters(opening) - _CLOSING_RESERVE)
    return f"{opening}{page}{format_omissions(left, 'outcome', 'error', 'note', shown_by='imgsync show report.json')}"


def _opening(report: Report) -> str:
    counts = Counter(outcome.result for outcome in report.outcomes)
    found = [f"{counts[word]} {word}" for word in _WORDS if counts[word]]
    errors = [f"{len(report.errors)} could not be planned"] if report.errors else []
    stopped = counts[Result.REMAINING]
    heading = f"### imgsync apply {format_code(report.plan_id[:64])} — {', '.join([*found, *errors]) or 'nothing to do'}"
    moved = f"Moved **{format_bytes(report.total('bytes_copied'))}** in {format_count(report.total('blobs_copied'), 'blob')}"
    spared = f"{report.total('blobs_mounted')} mounted, {report.total('blobs_present')} already there"
    ended = [f"ended {format_code(report.created_at[:40])}"] if report.created_at else []
    facts = " · ".join([f"{moved}; {spared}", format_duration(report.seconds), *ended, f"imgsync {__version__}"])
    again = (
        f"\n**Stopped** ({format_prose(report.stopped[:100]) or 'an image failed'}): {format_count(stopped, 'image')} left. Run it again to go on.\n"
        if stopped
        else ""
    )
    return f"{MARKER}\n{heading}\n\n{facts}\n{again}"


class _Page:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._now = report.created_at
        self._failed = Block(head="\n**Failed**\n\n", more="- … and {} more failed\n")
        self._errors = Block(head="\n**Could not be planned**\n\n", more="- … and {} more errors\n")
        self._remaining = _table("Left for the next run", "| image | mirror |\n|---|---|\n")
        self._refused = Block(head="\n> [!CAUTION]\n> **Refused**; what the destination has stays as it is:\n", more="> - … and {} more refused\n")
        self._deleted = _table("Deleted", "| tag | mirror | why |\n|---|---|---|\n")
        self._held = _table("On hold", "| image | mirror | why |\n|---|---|---|\n")
        self._copied = _table("Copied", "| image | mirror | digest | moved | took |\n|---|---|---|--:|--:|\n")
        self._notes = Block(head="\n**Notes**\n\n", more="- … and {} more notes\n")

    def __str__(self) -> str:
        """Return the blocks in the order they are read."""
        blocks = (self._failed, self._errors, self._remaining, self._refused, self._deleted, self._held, self._copied, self._notes)
        return "".join(map(str, blocks))

    def entries(self) -> Iterator[Entry]:
        """Yield every line that there is to say, the most important first."""
        yield from self._of(Result.FAILED, self._failed, _failed_line)
        yield from (Entry(self._errors, partial(format_error, error), "error") for error in self._report.errors)
        yield from self._of(Result.REFUSED, self._refused, _refused_line)
        yield from (Entry(self._notes, partial(_note_line, note), "note") for note in self._report.notes)
        yield from self._of(Result.REMAINING, self._remaining, _remaining_row)
        yield from self._of(Result.DELETED, self._deleted, _reason_row)
        yield from self._of(Result.HELD, self._held, partial(_reason_row, now=self._now))
        yield from self._of(Result.COPIED, self._copied, _copied_row)

    def _of(self, result: Result, block: Block, line: Callable[[Outcome], str]) -> Iterator[Entry]:
        return (Entry(block, partial(line, outcome), "outcome") for outcome in self._report.outcomes if outcome.result == result)


def _table(title: str, headings: str) -> Block:
    return Block(head=f"\n<details><summary>{title}</summary>\n\n{headings}", tail="\n</details>\n", more="\n… and {} more.\n")


def _failed_line(outcome: Outcome) -> str:
    change = outcome.change
    hint = f"; hint: {format_prose(outcome.hint)}" if outcome.hint else ""
    way = f"{format_code(change.source)} → {format_code(change.destination)} (mirror {format_code(change.mirror)})"
    return f"- {way}: {format_prose(outcome.error or '')}{hint}"


def _refused_line(outcome: Outcome) -> str:
    change = outcome.change
    return f"> - {format_code(change.destination)} (mirror {format_code(change.mirror)}): {format_prose(outcome.error or change.reason)}"


def _note_line(note: str) -> str:
    return f"- {format_prose(note)}"


def _remaining_row(outcome: Outcome) -> str:
    return f"| {_cell(outcome.change.destination)} | {_cell(outcome.change.mirror)} |"


def _reason_row(outcome: Outcome, *, now: str = "") -> str:
    change = outcome.change
    return f"| {_cell(change.destination)} | {_cell(change.mirror)} | {format_prose(describe_reason(change, now=now), in_table=True)} |"


def _copied_row(outcome: Outcome) -> str:
    change = outcome.change
    moved, took = format_bytes(outcome.bytes_copied), format_duration(outcome.seconds)
    return f"| {_cell(change.destination)} | {_cell(change.mirror)} | {_cell(shorten_digest(outcome.digest or ''))} | {moved} | {took} |"


def _cell(text: str) -> str:
    return format_code(text, in_table=True)
