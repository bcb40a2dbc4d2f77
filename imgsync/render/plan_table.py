"""A plan as text for a terminal, by mirror."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from imgsync.plan.model import Action, Change, Plan
from imgsync.plan.packed_changes import PackedChanges
from imgsync.render.filter_steps import render_steps
from imgsync.render.gone_rows import render_gone
from imgsync.render.image_name import make_name
from imgsync.render.mirror_heading import render_mirror_heading
from imgsync.render.mirror_sections import MirrorSection, group_by_destination, group_by_mirror
from imgsync.render.plan_summary import describe_action, describe_reason, format_apply_requests, format_counts, format_pulls, format_requests, is_unchanged
from imgsync.render.problems import make_problem, render_problems
from imgsync.render.reasons import find_shared, join_why, render_note, render_shared
from imgsync.render.rows import Row, render_rows
from imgsync.system.dataclass import dataclass
from imgsync.text.layout import PLAIN, Layout, wrap, wrap_on_terminal
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_bytes, format_count, format_duration

# More rows than this, of one action in one mirror, fold to the first few.
_MAX_ROWS = 50
_FOLDED_ROWS = 20
_COMMAND = "`imgsync "


@dataclass(frozen=True, slots=True)
class PlanView:
    """
    What a plan's table shows.

    `has_all` says that the command has `--all`, which lists kept tags and unfolds long lists.
    """

    show_kept: bool = False
    explain: bool = False
    has_all: bool = True
    layout: Layout = PLAIN


_PLAIN_VIEW = PlanView()


def render_plan_table(plan: Plan, view: PlanView = _PLAIN_VIEW) -> str:
    """Return *plan* as text."""
    return "\n".join(_render_lines(plan, view)) + "\n"


def _render_lines(plan: Plan, view: PlanView) -> Iterator[str]:
    for section in group_by_mirror(plan):
        notes = section.notes
        if _is_quiet(section, view) and len(section.changes.select((Action.KEEP,))) == len(section.changes):
            continue
        yield from render_mirror_heading(notes, view.layout)
        if notes.suspended:
            yield "    suspended: nothing is planned"
        yield from _render_changes(section, view, now=plan.created_at)
        yield from _render_gone(section, view)
        yield from render_problems([make_problem(error) for error in section.errors], view.layout)
        for note in notes.notes:
            yield from render_note("note", sanitize_short(note), view.layout)
        if view.explain:
            yield from render_steps(notes.steps, view.layout)
        yield ""
    for line in _render_summary(plan):
        yield from wrap_on_terminal(line, view.layout, rest="    ")


def _is_quiet(section: MirrorSection, view: PlanView) -> bool:
    """Return whether *section* has nothing to show but its changes."""
    notes = section.notes
    if section.errors or section.gone or view.explain or view.show_kept:
        return False
    # A note with a command is something to do, such as a tag that the lock lacks.
    return not (notes.suspended or notes.pruning_skipped or notes.returned or any(_COMMAND in note for note in notes.notes))


def _render_changes(section: MirrorSection, view: PlanView, *, now: str) -> Iterator[str]:
    others = section.select(*(action for action in Action if action is not Action.DELETE and (view.show_kept or action is not Action.KEEP)))
    yield from _render_by_destination(others, section.notes.destinations, view, now=now)
    if section.count(Action.DELETE):
        yield "  prune"
        yield from _render_by_destination(section.select(Action.DELETE), section.notes.destinations, view, now=now)
    if (kept := section.count(Action.KEEP)) and not view.show_kept:
        yield f"  = {format_count(kept, 'tag')} up to date{' (--all lists them)' if view.has_all else ''}"


def _render_gone(section: MirrorSection, view: PlanView) -> Iterator[str]:
    """Yield the tags that are gone at the source."""
    destinations = section.notes.destinations
    most = len(section.gone) if view.show_kept or len(section.gone) <= _MAX_ROWS else _FOLDED_ROWS
    prefix = destinations[0] if len(destinations) == 1 else ""
    yield from render_gone(section.gone, view.layout, prefix=prefix, most=most, listed_by="--all" if view.has_all else "")


def _render_by_destination(changes: Iterable[Change], destinations: tuple[str, ...], view: PlanView, *, now: str) -> Iterator[str]:
    """Yield *changes*, below each destination unless all have the same."""
    groups = group_by_destination(changes, destinations)
    for group in groups:
        if len(groups) > 1:
            yield from wrap(f"→ {sanitize_short(', '.join(group.prefixes)) or 'elsewhere'}", view.layout.width, first="  ", rest="    ")
        yield from _render_group(group.changes, group.prefixes, view, now=now)


def _render_group(changes: Iterable[Change], prefixes: tuple[str, ...], view: PlanView, *, now: str) -> Iterator[str]:
    by_action: defaultdict[Action, PackedChanges] = defaultdict(PackedChanges)
    for change in changes:
        by_action[change.action].append(change)
    rows: list[Row] = []
    shared: dict[Action, list[str]] = {}
    each = " at each destination" if len(prefixes) > 1 else ""
    for action, some in by_action.items():
        shared[action] = find_shared(describe_reason(change, now=now) for change in some)
        yield from render_shared(f"{len(some)} {describe_action(action)}{each}", shared[action], view.layout)
        shown = some if len(some) <= _MAX_ROWS or view.show_kept else islice(some, _FOLDED_ROWS)
        # The line above the rows says the action, if it is the same in all of them.
        word = "" if shared[action] and len(by_action) == 1 else action.value
        rows += (_make_row(change, prefixes[0] if prefixes else "", shared[action], word=word, now=now) for change in shown)
    yield from render_rows(rows, view.layout)
    for hint in dict.fromkeys(change.advice for change in by_action.get(Action.REFUSE, ())):
        yield from render_note("hint", sanitize_short(hint), view.layout)
    yield from _count_folded(by_action, view)


def _count_folded(by_action: Mapping[Action, PackedChanges], view: PlanView) -> Iterator[str]:
    for action, some in by_action.items():
        if len(some) > _MAX_ROWS and not view.show_kept:
            yield f"    … and {len(some) - _FOLDED_ROWS} more {describe_action(action)}{' (--all lists them)' if view.has_all else ''}"


def _make_row(change: Change, prefix: str, shared: Sequence[str], *, word: str, now: str) -> Row:
    size = "" if change.size_bytes is None else format_bytes(change.size_bytes)
    name = make_name(change.source, change.destination, prefix=prefix)
    return Row(change.action.glyph, name, word, size, join_why(describe_reason(change, now=now), without=shared))


def _render_summary(plan: Plan) -> Iterator[str]:
    if plan.part:
        yield from _summarize_part(plan)
        return
    spent = ", ".join([*format_requests(plan), format_duration(plan.seconds)])
    kept = plan.counts["keep"]
    if is_unchanged(plan):
        gone = f", {len(plan.gone)} gone at the source" if plan.gone else ""
        yield f"No changes. {format_count(kept, 'tag')} up to date{gone} ({spent})."
        return
    yield f"Plan {plan.id}: {_describe_counts(plan)}."
    yield f"  {f'{_describe_transfer(plan)} ' if plan.copies else ''}Planning took {spent}."
    if apply_requests := format_apply_requests(plan):
        yield f"  Apply needs at most {', '.join(apply_requests)}."
    yield from (f"  {sanitize_short(cost.registry)} limits pulls: {format_pulls(cost)}." for cost in plan.pulls)


def _summarize_part(plan: Plan) -> Iterator[str]:
    """Yield the summary of a part of a saved plan."""
    # Another job planned: how long that took says nothing about this one.
    if not plan.changes:
        yield f"Plan {plan.id}, {plan.part}: {format_bytes(plan.transfer_bytes)} to transfer."
        return
    yield f"Plan {plan.id}, {plan.part}: {_describe_counts(plan)}."
    if plan.copies:
        yield f"  {_describe_transfer(plan)}"


def _describe_counts(plan: Plan) -> str:
    return ", ".join([*format_counts(plan), f"{plan.counts['keep']} up to date"])


def _describe_transfer(plan: Plan) -> str:
    return f"Transfer {format_bytes(plan.transfer_bytes)} (blobs counted once per destination registry)."
