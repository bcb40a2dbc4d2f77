"""
A page with a character limit, for comments on GitHub and GitLab.

Entries are added in order of importance until one does not fit; the rest are counted. The first entry of a block also pays for the head
and tail of the block, so every opened element is closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_count

_MIN_LIMIT = 1_000
# Room for the line that counts omitted entries.
_CLOSING_RESERVE = 200
# Room for the number of entries omitted from a block.
_NUMBER_RESERVE = 12


class Block:
    """A part of a page; empty until an entry is added."""

    def __init__(self, *, head: str = "", tail: str = "", more: str = "", inside: Block | None = None) -> None:
        """
        Create a block.

        Args:
            head: The text before the entries.

            tail: The text after the entries and inner blocks.

            more: The line shown when entries were omitted; `{}` is their number.

            inside: The block that contains this one.
        """
        self._head = head
        self._tail = tail
        self._more = more
        self._parent = inside
        self._children: list[Block] = []
        self._added: list[tuple[int, str]] = []
        self._omitted = 0
        self._open = False
        if inside is not None:
            inside._children.append(self)  # noqa: SLF001 - another of this class

    @property
    def opening_cost(self) -> int:
        """Return the characters that the first entry adds besides its own."""
        if self._open:
            return 0
        own = sum(map(count_characters, (self._head, self._tail, self._more))) + _NUMBER_RESERVE
        return own + (self._parent.opening_cost if self._parent else 0)

    def add(self, text: str, *, position: int) -> None:
        """Add *text* as a line, sorted by *position*."""
        self._added.append((position, text))
        self._open_up()

    def omit(self) -> None:
        """Count an entry that does not fit."""
        self._omitted += 1

    def __str__(self) -> str:
        """Return the block as text, lines ending in newlines."""
        if not self._open:
            return ""
        lines = "".join(f"{text}\n" for _, text in sorted(self._added, key=lambda added: added[0]))
        more = self._more.format(self._omitted) if self._omitted and self._added else ""
        return "".join([self._head, lines, more, *map(str, self._children), self._tail])

    def _open_up(self) -> None:
        self._open = True
        if self._parent is not None:
            self._parent._open_up()  # noqa: SLF001 - another of this class


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A line that a block may show.

    `text` is called only if there is room left. `counts_as` names the entry when it is omitted; "" for entries that repeat others.
    `position` sorts the lines of the block.
    """

    block: Block
    text: Callable[[], str]
    counts_as: str = ""
    position: int = 0


def render_limited_page(opening: str, blocks: Sequence[Block], entries: Iterable[Entry], *, limit: int, kinds: Sequence[str], shown_by: str) -> str:
    """
    Return *opening* and *blocks* as a page of at most *limit* characters.

    Args:
        opening: The beginning, always shown.

        blocks: In reading order.

        entries: The lines of the blocks, the most important first.

        limit: The most UTF-16 units, at least 1,000.

        kinds: The names that omitted entries are counted as, in order.

        shown_by: The command that shows everything.

    Raises:
        ValueError: *limit* is too small.
    """
    if limit < _MIN_LIMIT:
        raise ValueError(f"the limit must be at least {_MIN_LIMIT} characters, not {limit}")
    omitted = _fill(entries, room=limit - count_characters(opening) - _CLOSING_RESERVE)
    return "".join([opening, *map(str, blocks), *_render_closing_line(omitted, kinds, shown_by)])


def count_characters(text: str) -> int:
    """Return the length of *text* in UTF-16 units."""
    # Sites count characters, code points or UTF-16 units; the last is the largest.
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _fill(entries: Iterable[Entry], *, room: int) -> Counter[str]:
    """Add entries while they fit; return how many were omitted, by kind."""
    omitted: Counter[str] = Counter()
    is_full = False
    for entry in entries:
        if not is_full:
            text = entry.text()
            cost = entry.block.opening_cost + count_characters(text) + 1
            is_full = cost > room
        if not is_full:
            entry.block.add(text, position=entry.position)
            room -= cost
        elif entry.counts_as:
            omitted[entry.counts_as] += 1
            entry.block.omit()
    return omitted


def _render_closing_line(omitted: Counter[str], kinds: Sequence[str], shown_by: str) -> Iterator[str]:
    if omitted:
        more = ", ".join(format_count(omitted[kind], f"more {kind}") for kind in kinds if omitted[kind])
        yield f"\n… and {more} {'was' if omitted.total() == 1 else 'were'} left out; `{shown_by}` shows all.\n"
