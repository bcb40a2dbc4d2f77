"""Fit text into columns: measure, shorten, wrap, and set in columns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass  # noqa: TID251 - text imports no other room

from imgsync.text.sanitize import sanitize_line

_DEFAULT_WIDTH = 100
_ELLIPSIS = "…"
_COLUMN_GAP = "  "
# The end of a name differs more often than its beginning.
_TAIL_SHARE = 0.6
_WIDE = frozenset("WF")
_DIGEST = re.compile(r"\b(sha256:|sha512:)?([0-9a-f]{12})[0-9a-f]{52}(?:[0-9a-f]{64})?\b")


@dataclass(frozen=True, slots=True)
class Layout:
    """
    How wide a table is, and whether names may be shortened.

    Without a terminal a row is one line with whole names, so that `grep` finds it.
    """

    width: int = _DEFAULT_WIDTH
    is_terminal: bool = False


PLAIN = Layout()


def measure(text: str) -> int:
    """Return how many columns *text* takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in _WIDE) for character in text)


def pad(text: str, width: int) -> str:
    """Return *text* with spaces up to *width* columns."""
    return text + " " * (width - measure(text))


def shorten_middle(text: str, width: int) -> str:
    """Return *text* in at most *width* columns, without its middle if needed."""
    if measure(text) <= width:
        return text
    tail_width = int((width - 1) * _TAIL_SHARE)
    tail = _take(text[::-1], tail_width)[::-1]
    return f"{_take(text, width - 1 - measure(tail))}{_ELLIPSIS}{tail}"


def shorten_digests(text: str) -> str:
    """Return *text* with the first twelve hex digits of each digest."""
    return _DIGEST.sub(lambda found: found[2], text) if len(text) >= 64 else text


def wrap(text: str, width: int, *, first: str = "", rest: str = "") -> Iterator[str]:
    """
    Yield *text* in lines of *width* columns; longer words stay whole.

    Args:
        text: Words; spaces between them are one.
        width: The most columns of a line.
        first: Begins the first line.
        rest: Begins the other lines.
    """
    line, used, is_empty = first, measure(first), True
    for word in text.split():
        if not is_empty and used + 1 + measure(word) > width:
            yield line
            line, used, is_empty = rest, measure(rest), True
        # A CI runner reads `::name::` at the beginning of a line as a command.
        shown = sanitize_line(word) if is_empty else word
        line, used, is_empty = f"{line}{'' if is_empty else ' '}{shown}", used + measure(shown) + (not is_empty), False
    yield line.rstrip()


def fit(parts: Sequence[str], width: int, *, gap: str = "   ") -> Iterator[str]:
    """Yield *parts* in one line if they fit, else in several."""
    found = [part for part in parts if part]
    whole = gap.join(found)
    yield from [whole] if measure(whole) <= width else [*found[:1], *(f"  {part}" for part in found[1:])]


def wrap_on_terminal(text: str, layout: Layout, *, rest: str) -> Iterator[str]:
    """Yield *text*, wrapped on a terminal, else in one line."""
    start = text[: len(text) - len(text.lstrip())]
    yield from wrap(text, layout.width, first=start, rest=rest) if layout.is_terminal else (text,)


def set_in_columns(names: Sequence[str], width: int, *, indent: str = "") -> Iterator[str]:
    """Yield *names* in as many columns as fit, filled downwards."""
    sizes = [measure(name) + len(_COLUMN_GAP) for name in names]
    room = width + len(_COLUMN_GAP) - len(indent)
    for count in range(min(len(names), room // min(sizes, default=1)), 1, -1):
        height = -(-len(names) // count)
        widths = [max(sizes[start : start + height]) for start in range(0, len(names), height)]
        if sum(widths) <= room:
            for row in range(height):
                cells = zip(names[row::height], widths, strict=False)
                yield f"{indent}{''.join(pad(name, size) for name, size in cells)}".rstrip()
            return
    yield from (f"{indent}{name}" for name in names)


def _take(text: str, width: int) -> str:
    """Return the beginning of *text* that takes at most *width* columns."""
    used = 0
    for number, character in enumerate(text):
        used += measure(character)
        if used > width:
            return text[:number]
    return text
