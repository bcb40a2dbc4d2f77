"""The changes of a lock as text for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from imgsync.oci.spec.reference import split_reference
from imgsync.plan.lock_changes import LockAction, LockChange, LockResult, MirrorLock
from imgsync.render.image_name import Name
from imgsync.render.lock_facts import find_lock_hint, format_lock_summary, format_size, list_reasons
from imgsync.render.problems import make_problem, render_problems
from imgsync.render.reasons import find_shared, join_why, render_note, render_shared
from imgsync.render.rows import Row, render_rows
from imgsync.text.layout import PLAIN, Layout, fit, wrap_on_terminal
from imgsync.text.sanitize import sanitize_short


def render_lock_table(found: LockResult, *, layout: Layout = PLAIN) -> str:
    """Return *found* as text; mirrors without anything to say are left out."""
    return "\n".join(_render_lines(found, layout)) + "\n"


def _render_lines(found: LockResult, layout: Layout) -> Iterator[str]:
    for lock in found.locks:
        if lock.changes or lock.errors or lock.notes:
            yield from _render_mirror(lock, found.created_at, layout)
            yield ""
    # First in its paragraph, so that a terminal shows it in bold.
    yield from wrap_on_terminal(format_lock_summary(found), layout, rest="  ")
    for note in found.notes:
        yield from wrap_on_terminal(f"note: {sanitize_short(note)}", layout, rest="  ")
    if hint := find_lock_hint(found):
        yield from wrap_on_terminal(f"hint: {sanitize_short(hint)}", layout, rest="  ")


def _render_mirror(lock: MirrorLock, now: str, layout: Layout) -> Iterator[str]:
    yield from fit([sanitize_short(lock.mirror), sanitize_short(lock.file)], layout.width)
    rows: list[Row] = []
    for action in LockAction:
        reasons = {change.image: "; ".join(list_reasons(change, now)) for change in lock.changes if change.action is action}
        shared = find_shared(reasons.values())
        yield from render_shared(f"{len(reasons)} {action.value}", shared, layout)
        rows += (_make_row(change, reasons[change.image], shared) for change in lock.changes if change.action is action)
    yield from render_rows(rows, layout)
    for note in lock.notes:
        yield from render_note("note", sanitize_short(note), layout)
    yield from render_problems([make_problem(error) for error in lock.errors], layout)


def _make_row(change: LockChange, reason: str, shared: Collection[str]) -> Row:
    repository, tag = split_reference(change.image)
    name = Name(sanitize_short(repository), sanitize_short(tag))
    return Row(change.action.glyph, name, change.action.value, format_size(change), join_why(reason, without=shared))
