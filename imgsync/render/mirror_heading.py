"""The heading of a mirror in a table."""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.plan.model import MirrorNotes
from imgsync.text.layout import Layout, fit, measure, wrap
from imgsync.text.sanitize import sanitize_short


def render_mirror_heading(notes: MirrorNotes, layout: Layout) -> Iterator[str]:
    """Yield name, source, destinations and place of a mirror."""
    name = sanitize_short(notes.mirror) or "no mirror"
    if not notes.file:
        yield name
        return
    place = f"{sanitize_short(notes.file)}:{notes.line}"
    source, destinations = sanitize_short(notes.source), f"→ {sanitize_short(', '.join(notes.destinations))}"
    whole = f"{name}   {source} {destinations}   {place}"
    if measure(whole) <= layout.width:
        yield whole
        return
    yield from fit([name, place], layout.width)
    for line in fit([source, destinations], layout.width - 2, gap=" "):
        yield from wrap(line, layout.width, first="  ", rest="    ")
