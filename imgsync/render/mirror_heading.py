"""The heading of a mirror in a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgsync.plan.model import MirrorNotes
from imgsync.text.layout import Layout, measure, wrap
from imgsync.text.sanitize import sanitize_short

_GAP = "   "


def render_mirror_heading(notes: MirrorNotes, layout: Layout) -> Iterator[str]:
    """Yield name, source, destinations and place of a mirror."""
    name = sanitize_short(notes.mirror) or "no mirror"
    if not notes.file:
        yield name
        return
    place = f"{sanitize_short(notes.file)}:{notes.line}"
    way = [sanitize_short(notes.source), f"→ {sanitize_short(', '.join(notes.destinations))}"]
    if measure(whole := _GAP.join([name, " ".join(way), place])) <= layout.width:
        yield whole
        return
    yield from _fit([name, place], layout, gap=_GAP)
    for line in _fit(way, layout, gap=" "):
        yield from wrap(line, layout.width, first="  ", rest="    ")


def _fit(parts: Sequence[str], layout: Layout, *, gap: str) -> Iterator[str]:
    """Yield *parts* in one line if they fit, else in several."""
    whole = gap.join(parts)
    yield from [whole] if measure(whole) + 2 <= layout.width else [parts[0], *(f"  {part}" for part in parts[1:])]
