"""The changes of a lock as Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from imgsync import __version__
from imgsync.plan.lock_changes import LockAction, LockChange, LockResult, MirrorLock
from imgsync.render.limited_page import Block, Entry, render_limited_page
from imgsync.render.lock_facts import find_lock_hint, format_age, format_digests, format_lock_summary, format_signers, format_size
from imgsync.render.markdown import format_code, format_error, format_html_code, format_prose

MARKER = "<!-- imgsync-lock -->"
_HEADINGS = "| | image | digest | size | age | signed by | why |\n|---|---|---|--:|---|---|---|\n"
# The most important first: the end is left out if the page is full.
_IMPORTANCE = (LockAction.MISMATCH, LockAction.REFUSE, LockAction.UPDATE, LockAction.DROP, LockAction.HOLD, LockAction.ADD, LockAction.KEEP)


def render_lock_markdown(found: LockResult, *, limit: int = 60_000) -> str:
    """
    Return *found* as Markdown.

    The first line is a marker to find the comment again.

    Args:
        found: The changes.

        limit: The most UTF-16 units, at least 1,000.

    Raises:
        ValueError: *limit* is under 1,000.
    """
    notes = "".join(f"\n{format_prose(note)}\n" for note in (*found.notes, find_lock_hint(found)) if note)
    opening = f"{MARKER}\n### imgsync lock — {format_lock_summary(found)}\n{notes}\n<sub>imgsync {__version__}</sub>\n"
    errors = Block(head="\n**Not locked; these files stay as they are**\n\n", more="- … and {} more errors\n")
    blocks = [(lock, Block(head=_render_heading(lock), tail="\n</details>\n", more="\n… and {} more in this mirror.\n")) for lock in found.locks]
    entries = _yield_entries(found, errors, blocks)
    kinds = ("error", "change")
    return render_limited_page(opening, (errors, *(block for _, block in blocks)), entries, limit=limit, kinds=kinds, shown_by="imgsync lock --check")


def _render_heading(lock: MirrorLock) -> str:
    return f"\n<details open><summary><b>{format_html_code(lock.mirror)}</b> · {format_html_code(lock.file)}</summary>\n\n{_HEADINGS}"


def _yield_entries(found: LockResult, errors: Block, blocks: list[tuple[MirrorLock, Block]]) -> Iterator[Entry]:
    yield from (Entry(errors, partial(format_error, error), "error") for error in found.errors)
    for action in _IMPORTANCE:
        for lock, block in blocks:
            chosen = ((number, change) for number, change in enumerate(lock.changes) if change.action is action)
            yield from (Entry(block, partial(_render_row, change, found.created_at), "change", number) for number, change in chosen)


def _render_row(change: LockChange, now: str) -> str:
    cells = (
        change.action.glyph,
        format_code(change.image, in_table=True),
        " → ".join(format_code(part, in_table=True) for part in format_digests(change).split(" → ") if part),
        format_size(change),
        format_age(change, now),
        format_code(format_signers(change), in_table=True),
        format_prose(change.reason, in_table=True),
    )
    return f"| {' | '.join(cells)} |"
