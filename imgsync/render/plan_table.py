"""A plan for people: what would change, per mirror, with sizes and reasons (design.md §3)."""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.plan.model import Action, Change, FilterStep, MirrorNotes, Plan, PullCost
from imgsync.render.safe import safe
from imgsync.units import format_bytes, format_duration

_DROPPED_SHOWN = 20
_WORDS = (("create", "to create"), ("update", "to update"), ("delete", "to delete"), ("hold", "on hold"), ("refuse", "refused"))


def plan_table(plan: Plan, *, show_kept: bool, explain: bool) -> str:
    """Return *plan* as text, lines ending in newlines; kept tags as a count unless *show_kept*."""
    return "\n".join(_lines(plan, show_kept=show_kept, explain=explain)) + "\n"


def _lines(plan: Plan, *, show_kept: bool, explain: bool) -> Iterator[str]:
    for notes in plan.mirrors:
        changes = [change for change in plan.changes if change.mirror == notes.mirror]
        errors = [error for error in plan.errors if error.mirror == notes.mirror]
        if not (notes.suspended or errors or explain or show_kept or any(change.action is not Action.KEEP for change in changes)):
            continue
        yield f"{notes.mirror}   {notes.source} → {', '.join(notes.destinations)}   {notes.file}:{notes.line}"
        if notes.suspended:
            yield "    suspended: declared but left alone for now"
        yield from _change_lines(changes, notes.destinations, show_kept=show_kept)
        for error in errors:
            yield f"  x {safe(error.reference)}   error   {safe(error.message)}"
            if error.hint:
                yield f"      hint: {safe(error.hint)}"
        yield from (f"    note: {note}" for note in notes.notes)
        if explain:
            yield from _explained(notes)
        yield ""
    yield from _summary(plan)


def _change_lines(changes: list[Change], destinations: tuple[str, ...], *, show_kept: bool) -> Iterator[str]:
    shown = [(_name(change, destinations), change) for change in changes if show_kept or change.action is not Action.KEEP]
    width = max((len(name) for name, _ in shown), default=0)
    for name, change in shown:
        size = "" if change.size_bytes is None else format_bytes(change.size_bytes)
        yield f"  {change.action.glyph} {name:<{width}}   {change.action.value:<6}   {size:>10}   {safe(change.reason)}"
    kept = len(changes) - len(shown)
    if kept:
        yield f"  = {kept} {_plural(kept)} up to date (--all lists them)"


def _name(change: Change, destinations: tuple[str, ...]) -> str:
    """Return the source without its registry; the destination too where the mirror's heading does not tell it."""
    name = change.source.partition("/")[2]
    told = destinations == (change.destination.removesuffix(f"/{name}"),)
    return safe(name) if told else f"{safe(name)} → {safe(change.destination)}"


def _explained(notes: MirrorNotes) -> Iterator[str]:
    for step in notes.steps:
        yield f"    {step.repository}   {step.step}: {step.left} left{_dropped(step)}"


def _dropped(step: FilterStep) -> str:
    if not step.dropped:
        return ""
    names = ", ".join(safe(tag) for tag in step.dropped[:_DROPPED_SHOWN])
    more = f", … and {len(step.dropped) - _DROPPED_SHOWN} more" if len(step.dropped) > _DROPPED_SHOWN else ""
    return f", {len(step.dropped)} dropped: {names}{more}"


def _summary(plan: Plan) -> Iterator[str]:
    counts = plan.counts
    asked = dict(plan.requests)
    requests = [f"{asked.get(side, 0)} {side} requests" for side in ("destination", "source")] if asked else []
    spent = ", ".join([*requests, format_duration(plan.seconds)])
    if not plan.errors and all(change.action is Action.KEEP for change in plan.changes):
        yield f"No changes. {counts['keep']} {_plural(counts['keep'])} up to date ({spent})."
        return
    parts = [f"{counts[name]} {words}" for name, words in _WORDS if counts[name] or name in {"create", "update"}]
    errors = [f"{len(plan.errors)} {'error' if len(plan.errors) == 1 else 'errors'}"] if plan.errors else []
    kept = f"{counts['keep']} up to date"
    yield f"Plan {plan.id}: {', '.join([*parts, *errors, kept])}."
    yield f"  Transfer {format_bytes(plan.transfer_bytes)} (blobs counted once per destination registry). {'Asked:' if asked else 'Planned in'} {spent}."
    yield from map(_pulls, plan.pulls)


def _pulls(cost: PullCost) -> str:
    of = "" if cost.limit is None else f" of {cost.limit}"
    window = f" per {format_duration(cost.window_seconds)}" if cost.window_seconds else ""
    return f"  {cost.registry} counts pulls: applying takes {cost.pulls}, {cost.remaining} are left{of}{window}."


def _plural(count: int) -> str:
    return "tag" if count == 1 else "tags"
