"""Lay out numbers, names and bars on a line of a terminal."""

from __future__ import annotations

from imgsync.system.dataclass import dataclass
from imgsync.text.layout import shorten_middle
from imgsync.text.units import choose_byte_unit, format_duration

_SMALLEST_BAR = 4
_WIDEST_BAR = 40


@dataclass(frozen=True, slots=True)
class Style:
    """
    What a terminal can show.

    `rewraps` says whether it wraps lines again that are wider than its new width.
    """

    coloured: bool
    is_utf8: bool = True
    rewraps: bool = True

    def draw_bar(self, fraction: float, width: int) -> str:
        """Return a bar of *width* characters, filled to *fraction*."""
        full, empty = ("━", "─") if self.is_utf8 else ("#", "-")
        filled = min(width, int(width * fraction))
        return self._colour(full * filled, "36") + self._colour(empty * (width - filled), "2")

    def shorten(self, name: str, width: int) -> str:
        """Return *name* in at most *width* columns, without its middle if needed."""
        return shorten_middle(name, width) if self.is_utf8 else shorten_middle(name, width - 1).replace("…", "..")

    def _colour(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.coloured and text else text


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its characters, with colours, and how many columns they take."""

    text: str
    width: int


def make_line(style: Style, left: str, fraction: float | None, right: str, *, width: int) -> Line:
    """
    Return *left*, a bar filled to *fraction*, and *right*.

    The bar takes what is left of *width*; without room or without a *fraction* there is none.
    """
    room = min(_WIDEST_BAR, width - len(left) - len(right) - 2)
    if fraction is None or room < _SMALLEST_BAR:
        plain = " ".join(part for part in (left, right) if part)[:width]
        return Line(plain, len(plain))
    return Line(f"{left} {style.draw_bar(fraction, room)} {right}", len(left) + room + len(right) + 2)


def format_share(done: int, total: int) -> str:
    """Return two sizes in the unit of the larger: `12.1/48.0 MiB`."""
    size, unit = choose_byte_unit(max(done, total))
    return f"{done / size:.1f}/{total / size:.1f} {unit}" if size > 1 else f"{done}/{total} B"


def format_time(seconds: float) -> str:
    """Return whole *seconds*: `4s`, `3m12s`."""
    return format_duration(seconds) if seconds >= 10 else f"{int(seconds)}s"
