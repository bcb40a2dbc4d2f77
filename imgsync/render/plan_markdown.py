"""
A plan as Markdown, for a pull or merge request.

Errors and refusals come first, then each mirror, folded.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from imgsync import __version__
from imgsync.oci.spec.digest import shorten_digest
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.model import Action, Change, FilterStep, Plan, PlanError, PullCost
from imgsync.render.filter_steps import SHOWN, describe_dropped
from imgsync.render.limited_page import Block, Entry, render_limited_page
from imgsync.render.markdown import format_code, format_error, format_html_code, format_prose
from imgsync.render.mirror_sections import MirrorSection, group_by_mirror, split_image_name
from imgsync.render.plan_summary import describe_reason, format_apply_requests, format_counts, format_pulls, format_requests, is_unchanged
from imgsync.render.refused_lines import Refusal, yield_refused
from imgsync.text.units import format_bytes, format_count, format_duration

MARKER = "<!-- imgsync-plan -->"
_HEADINGS = "| | image | change | size | why |\n|---|---|---|--:|---|\n"
_GONE = "\n<details open><summary>Gone at the source, kept here</summary>\n\n| tag | mirror | since | why |\n|---|---|---|---|\n"
_MORE = "\n… and {} more in this mirror.\n"
# The order of rows in a table. The second is the order of importance: its end is omitted first.
_ROWS = (Action.CREATE, Action.UPDATE, Action.REFUSE, Action.HOLD, Action.KEEP)
_IMPORTANCE = (Action.UPDATE, Action.HOLD, Action.CREATE)
_Rows = list[tuple[MirrorSection, Block]]


def render_plan_markdown(plan: Plan, *, limit: int = 60_000, explain: bool = False, show_kept: bool = False) -> str:
    """
    Return *plan* as Markdown.

    The first line is a marker to find the comment again.

    Args:
        plan: The plan.

        limit: The most UTF-16 units, at least 1,000; GitHub accepts 65,536. The least important lines are omitted and counted.

        explain: Show what each filter step dropped.

        show_kept: List tags that are up to date.

    Raises:
        ValueError: *limit* is under 1,000.
    """
    page = _Page(plan, explain=explain, show_kept=show_kept)
    kinds = ("change", "error", "tag", "note")
    return render_limited_page(_render_opening(plan), page.blocks, page.yield_entries(), limit=limit, kinds=kinds, shown_by="imgsync show plan.json")


def _render_opening(plan: Plan) -> str:
    unchanged = is_unchanged(plan)
    gone = f", {len(plan.gone)} gone at the source" if plan.gone else ""
    heading = f"### imgsync plan `{plan.id}` — {f'no changes{gone}' if unchanged else ', '.join(format_counts(plan))}"
    transfer = [] if unchanged else [f"Transfer **{format_bytes(plan.transfer_bytes)}** (blobs counted once per destination registry)"]
    apply_requests = [f"apply needs at most {', '.join(format_apply_requests(plan))}"] if format_apply_requests(plan) else []
    plan_requests = [f"planning took {', '.join(format_requests(plan))}"] if format_requests(plan) else []
    planned_at = f"planned {format_code(plan.created_at[:40])}" if plan.created_at else "planned"
    planned = f"{planned_at} in {format_duration(plan.seconds)} by imgsync {__version__}"
    facts = [f"{format_count(plan.counts['keep'], 'tag')} up to date", *transfer, *apply_requests, *plan_requests, planned]
    return f"{MARKER}\n{heading}\n\n{' · '.join(facts)}\n"


class _Page:
    def __init__(self, plan: Plan, *, explain: bool, show_kept: bool) -> None:
        self._plan = plan
        self._explain = explain
        self._show_kept = show_kept
        counts = plan.counts
        refused = f"> **{format_count(counts['refuse'], 'tag')} refused**; the destination stays unchanged:"
        prune = f"<details open><summary><b>prune</b> · {format_count(counts['delete'], 'tag')} to delete at the destination</summary>\n\n"
        self._pulls = Block(head="\n")
        self._refused = Block(head=f"\n> [!CAUTION]\n{refused}\n", more="> - … and {} more refused\n")
        self._errors = Block(head=f"\n**{format_count(len(plan.errors), 'error')}**; these references are not planned:\n\n", more="- … and {} more errors\n")
        self._prune = Block(head=f"\n{prune}| | tag | mirror | why |\n|---|---|---|---|\n", tail="\n</details>\n", more="\n… and {} more to delete.\n")
        self._gone = Block(head=_GONE, tail="\n</details>\n", more="\n… and {} more gone at the source.\n")
        self._mirrors = [(section, Block(head=_render_summary(section), tail="\n</details>\n")) for section in group_by_mirror(plan)]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks in reading order."""
        return self._pulls, self._refused, self._errors, self._prune, self._gone, *(block for _, block in self._mirrors)

    def yield_entries(self) -> Iterator[Entry]:
        """Yield every line, the most important first."""
        plan = self._plan
        refused = plan.select({Action.REFUSE})
        refusals = (Refusal(str(change.destination), change.mirror, change.reason, change.advice) for change in refused)
        yield from yield_refused(self._refused, refusals, counts_as="change")
        yield from (Entry(self._errors, partial(_render_error, error), "error") for error in plan.errors)
        yield from (Entry(self._pulls, partial(_render_pulls, cost), "note") for cost in plan.pulls)
        notes = [(section, Block(head="\n", inside=shell)) for section, shell in self._mirrors]
        tables = [(section, Block(head=f"\n{_HEADINGS}", more=_MORE, inside=shell)) for section, shell in self._mirrors]
        yield from (Entry(block, partial(_render_note, text), "note") for section, block in notes for text in _list_notes(section))
        yield from (Entry(self._prune, partial(_render_delete_row, change), "change") for change in plan.deletions)
        yield from (Entry(self._gone, partial(_render_gone_row, tag), "tag") for tag in plan.gone)
        for action in _IMPORTANCE:
            yield from self._yield_rows(tables, action)
        if self._explain:
            steps = [(section, Block(head="\n", more="- … and {} more steps\n", inside=shell)) for section, shell in self._mirrors]
            yield from (Entry(block, partial(_render_step, step), "note") for section, block in steps for step in section.notes.steps)
        # Also listed above, so omitting them loses nothing.
        yield from self._yield_rows(tables, Action.REFUSE, counts_as="")
        if self._show_kept:
            yield from self._yield_rows(tables, Action.KEEP)

    def _yield_rows(self, tables: _Rows, action: Action, *, counts_as: str = "change") -> Iterator[Entry]:
        now, position = self._plan.created_at, _ROWS.index(action)
        for section, block in tables:
            for change in section.select(action):
                yield Entry(block, partial(_render_row, change, section.notes.destinations, now=now), counts_as, position)


def _render_summary(section: MirrorSection) -> str:
    notes = section.notes
    has_problems = section.errors or section.count(Action.REFUSE)
    way = f"{format_html_code(notes.source)} → {', '.join(map(format_html_code, notes.destinations[:3]))}{' …' if len(notes.destinations) > 3 else ''}"
    place = format_html_code(f"{notes.file}:{notes.line}")
    found = [f"{count} {action.value}" for action in Action if (count := section.count(action))]
    errors = [format_count(len(section.errors), "error")] if section.errors else []
    parts = [
        f"<b>{format_html_code(notes.mirror)}</b>",
        *([way, place] if notes.file else []),
        ", ".join([*found, *errors]) or ("suspended" if notes.suspended else "nothing"),
    ]
    return f"\n<details{' open' if has_problems else ''}><summary>{' · '.join(parts)}</summary>\n"


def _list_notes(section: MirrorSection) -> list[str]:
    suspended = ["suspended: nothing is planned"] if section.notes.suspended else []
    return [*suspended, *section.notes.notes]


def _render_note(text: str) -> str:
    return f"- {format_prose(text)}"


def _render_pulls(cost: PullCost) -> str:
    return f"- {format_code(cost.registry)} limits pulls: {format_pulls(cost)}."


def _render_error(error: PlanError) -> str:
    return format_error(error, aside="; left for a later run" if error.later else "")


def _render_delete_row(change: Change) -> str:
    cells = (format_code(str(change.destination), in_table=True), format_code(change.mirror, in_table=True), format_prose(change.reason, in_table=True))
    return f"| - delete | {' | '.join(cells)} |"


def _render_gone_row(tag: GoneTag) -> str:
    cells = [format_code(text, in_table=True) for text in (str(tag.destination), tag.mirror, tag.day or "now")]
    return f"| {' | '.join(cells)} | {format_prose(tag.reason, in_table=True)} |"


def _render_row(change: Change, destinations: tuple[str, ...], *, now: str) -> str:
    name, elsewhere = split_image_name(change, destinations)
    image = " → ".join(format_code(text, in_table=True) for text in (name, elsewhere) if text)
    digests = (change.destination_digest, change.source_digest)
    moved = " → ".join(dict.fromkeys(format_code(shorten_digest(digest), in_table=True) for digest in digests if digest))
    size = "" if change.size_bytes is None else format_bytes(change.size_bytes)
    word = "**refuse**" if change.action is Action.REFUSE else change.action.value
    return f"| {change.action.glyph} {word} | {image} | {moved} | {size} | {format_prose(describe_reason(change, now=now), in_table=True)} |"


def _render_step(step: FilterStep) -> str:
    dropped = describe_dropped(step, " ".join(format_code(tag[:128]) for tag in step.dropped[:SHOWN]))
    remark = f" ({format_prose(step.remark)})" if step.remark else ""
    return f"- {format_code(step.repository)} {format_prose(step.step)}: {step.left} left{f', {dropped}' if dropped else ''}{remark}"
