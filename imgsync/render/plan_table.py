"""A plan as text for a terminal, by mirror."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from imgsync.plan.model import Action, Change, FilterStep, Plan
from imgsync.render.mirror_sections import MirrorSection, group_by_mirror, split_image_name
from imgsync.render.plan_summary import describe_action, describe_reason, format_apply_requests, format_counts, format_pulls, format_requests, is_unchanged
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_bytes, format_count, format_duration

_DROPPED_SHOWN = 20
# More lines than this, of one action in one mirror, fold to the first few.
_MAX_LINES = 50
_FOLDED_LINES = 20


def render_plan_table(plan: Plan, *, show_kept: bool, explain: bool) -> str:
    """Return *plan* as text; *show_kept* lists kept tags and unfolds long lists."""
    return "\n".join(_render_lines(plan, show_kept=show_kept, explain=explain)) + "\n"


def _render_lines(plan: Plan, *, show_kept: bool, explain: bool) -> Iterator[str]:
    for section in group_by_mirror(plan):
        notes = section.notes
        is_quiet = not (notes.suspended or notes.pruning_skipped or section.errors or section.gone or explain or show_kept)
        if is_quiet and all(change.action is Action.KEEP for change in section.changes):
            continue
        yield _render_heading(section)
        if notes.suspended:
            yield "    suspended: nothing is planned"
        yield from _render_changes(section, show_all=show_kept, now=plan.created_at)
        yield from _render_gone(section, show_all=show_kept)
        for error in section.errors:
            yield f"  x {sanitize_short(error.reference)}   error   {sanitize_short(error.message)}"
            if error.hint:
                yield f"      hint: {sanitize_short(error.hint)}"
        yield from (f"    note: {sanitize_short(note)}" for note in notes.notes)
        if explain:
            yield from _render_steps(section)
        yield ""
    yield from _render_summary(plan)


def _render_heading(section: MirrorSection) -> str:
    notes = section.notes
    if not notes.file:
        return sanitize_short(notes.mirror) or "no mirror"
    way = f"{sanitize_short(notes.source)} → {sanitize_short(', '.join(notes.destinations))}"
    return f"{sanitize_short(notes.mirror)}   {way}   {sanitize_short(notes.file)}:{notes.line}"


def _render_changes(section: MirrorSection, *, show_all: bool, now: str) -> Iterator[str]:
    kept = section.select(Action.KEEP)
    others = [change for change in section.changes if change.action is not Action.DELETE and (show_all or change.action is not Action.KEEP)]
    yield from _fold(others, section.notes.destinations, show_all=show_all, now=now)
    deleted = section.select(Action.DELETE)
    if deleted:
        yield "  prune"
        yield from _fold(deleted, section.notes.destinations, show_all=show_all, now=now)
    if kept and not show_all:
        yield f"  = {format_count(len(kept), 'tag')} up to date (--all lists them)"


def _render_gone(section: MirrorSection, *, show_all: bool) -> Iterator[str]:
    """Yield a line per tag that is gone at its source."""
    shown = section.gone if show_all or len(section.gone) <= _MAX_LINES else section.gone[:_FOLDED_LINES]
    yield from (f"  . {sanitize_short(str(tag.destination))}   kept   {sanitize_short(tag.description)}" for tag in shown)
    if len(shown) < len(section.gone):
        yield f"    … and {len(section.gone) - len(shown)} more gone at the source (imgsync plan --all lists them)"


def _fold(changes: Sequence[Change], destinations: tuple[str, ...], *, show_all: bool, now: str) -> Iterator[str]:
    """Yield a line per change; fold actions with many changes."""
    counts = Counter(change.action for change in changes)
    folded = {action for action, count in counts.items() if count > _MAX_LINES and not show_all}
    seen: Counter[Action] = Counter()
    shown = []
    for change in changes:
        seen[change.action] += 1
        if change.action not in folded or seen[change.action] <= _FOLDED_LINES:
            shown.append((change, _format_name(change, destinations)))
    width = max((len(name) for _, name in shown), default=0)
    last = {change.action: number for number, (change, _) in enumerate(shown)}
    for number, (change, name) in enumerate(shown):
        size = "" if change.size_bytes is None else format_bytes(change.size_bytes)
        yield f"  {change.action.glyph} {name:<{width}}   {change.action.value:<6}   {size:>10}   {sanitize_short(describe_reason(change, now=now))}"
        if change.action in folded and last[change.action] == number:
            yield f"    … and {counts[change.action] - _FOLDED_LINES} more {describe_action(change.action)} (imgsync plan --all lists them)"


def _format_name(change: Change, destinations: tuple[str, ...]) -> str:
    name, elsewhere = split_image_name(change, destinations)
    return f"{sanitize_short(name)} → {sanitize_short(elsewhere)}" if elsewhere else sanitize_short(name)


def _render_steps(section: MirrorSection) -> Iterator[str]:
    for step in section.notes.steps:
        yield f"    {sanitize_short(step.repository)}   {sanitize_short(step.step)}: {step.left} left{_format_dropped(step)}{_format_remark(step)}"


def _format_dropped(step: FilterStep) -> str:
    if not step.dropped:
        return ""
    names = ", ".join(sanitize_short(tag) for tag in step.dropped[:_DROPPED_SHOWN])
    more = f", … and {len(step.dropped) - _DROPPED_SHOWN} more" if len(step.dropped) > _DROPPED_SHOWN else ""
    return f", {len(step.dropped)} dropped: {names}{more}"


def _format_remark(step: FilterStep) -> str:
    return f" ({sanitize_short(step.remark)})" if step.remark else ""


def _render_summary(plan: Plan) -> Iterator[str]:
    spent = ", ".join([*format_requests(plan), format_duration(plan.seconds)])
    kept = plan.counts["keep"]
    if is_unchanged(plan):
        gone = f", {len(plan.gone)} gone at the source" if plan.gone else ""
        yield f"No changes. {format_count(kept, 'tag')} up to date{gone} ({spent})."
        return
    yield f"Plan {plan.id}: {', '.join([*format_counts(plan), f'{kept} up to date'])}."
    yield f"  Transfer {format_bytes(plan.transfer_bytes)} (blobs counted once per destination registry). Planning took {spent}."
    if apply_requests := format_apply_requests(plan):
        yield f"  Apply needs at most {', '.join(apply_requests)}."
    yield from (f"  {sanitize_short(cost.registry)} limits pulls: {format_pulls(cost)}." for cost in plan.pulls)
