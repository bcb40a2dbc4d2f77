"""
Rows of a table: sign, name, action, size and reason.

Rows of one repository follow its name; a fact that all rows of a kind share is said once above them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from imgsync.filters.natural_order import make_natural_key
from imgsync.render.image_name import Name
from imgsync.system.dataclass import dataclass
from imgsync.text.layout import Layout, measure, pad, shorten_digests, shorten_middle, wrap

_GAP = "   "
# Two columns, the sign, one more; a name within a repository is indented.
_MARGIN = 4
_INDENT = "  "
_BENEATH = " " * 8


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `beneath` are lines below it, such as a hint."""

    sign: str
    name: Name
    word: str
    size: str = ""
    why: str = ""
    beneath: tuple[str, ...] = ()


def render_rows(rows: Sequence[Row], layout: Layout) -> Iterator[str]:
    """Yield the lines of *rows*, by repository and otherwise in their order."""
    headings = {row.name.heading for row in rows}
    order = {heading: number for number, heading in enumerate(sorted(headings, key=make_natural_key))}
    rows = sorted(rows, key=lambda row: order[row.name.heading])
    table = _Table(rows, layout)
    for heading, group in groupby(rows, key=lambda row: row.name.heading):
        yield from table.render_group(heading, list(group))


class _Table:
    """Aligned columns for some rows."""

    def __init__(self, rows: Sequence[Row], layout: Layout) -> None:
        self._layout = layout
        self._word_width = max((measure(row.word) for row in rows), default=0)
        self._size_width = max((measure(row.size) for row in rows), default=0)
        # What a name may take beside the other columns.
        self._room = layout.width - _MARGIN - sum(width + len(_GAP) for width in (self._word_width, self._size_width) if width)
        self._is_alone = _find_lone(rows, room=self._room)
        self._name_width = min(self._room, max((measure(self._choose_name(row)) for row in rows), default=0))

    def render_group(self, heading: str, rows: Sequence[Row]) -> Iterator[str]:
        """Yield the rows of one repository."""
        if self._layout.is_terminal and heading not in self._is_alone:
            first, arrow, rest = heading.partition(" → ")
            parts = [heading] if measure(heading) <= self._layout.width - _MARGIN else [first, f"{arrow.lstrip()}{rest}"]
            yield from (f"    {shorten_middle(part, self._layout.width - _MARGIN)}" for part in parts if part)
        for row in rows:
            yield from self._render_row(row)

    def _choose_name(self, row: Row) -> str:
        """Return the name as its place needs it."""
        if not self._layout.is_terminal or row.name.heading in self._is_alone:
            return row.name.whole
        return f"{_INDENT}{shorten_digests(row.name.within)}"

    def _render_row(self, row: Row) -> Iterator[str]:
        name = self._choose_name(row)
        if self._layout.is_terminal:
            name = shorten_middle(name, self._room)
        word = f"{_GAP}{row.word:<{self._word_width}}" if self._word_width else ""
        size = f"{_GAP}{row.size:>{self._size_width}}" if self._size_width else ""
        line = f"  {row.sign} {pad(name, self._name_width)}{word}{size}"
        fits = not (self._layout.is_terminal and row.why) or measure(line) + len(_GAP) + measure(row.why) <= self._layout.width
        yield f"{line}{_GAP}{row.why}".rstrip() if fits else line.rstrip()
        if not fits:
            yield from wrap(row.why, self._layout.width, first=_BENEATH, rest=_BENEATH)
        for text in row.beneath:
            yield from wrap(text, self._layout.width, first="      ", rest=_BENEATH)


def _find_lone(rows: Iterable[Row], *, room: int) -> frozenset[str]:
    """Return the headings with one row whose whole name fits."""
    found: dict[str, bool] = {}
    for row in rows:
        heading = row.name.heading
        found[heading] = heading not in found and measure(row.name.whole) <= room
    return frozenset(heading for heading, is_lone in found.items() if is_lone)
