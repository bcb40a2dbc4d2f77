"""
A page within a limit: entries are taken in the order of their importance until one does not fit; what is left out is counted.

A block's head and tail are paid for with its first entry, so that whatever is opened is closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from imgsync.text.units import format_count

MIN_LIMIT = 1_000


class Block:
    """A part of a page: its head, its entries, the blocks inside it, its tail; nothing at all as long as no entry is taken."""

    def __init__(self, *, head: str = "", tail: str = "", more: str = "", inside: Block | None = None) -> None:
        """Make a block; *more* is said of entries that were left out when others were taken, `{}` being their number."""
        self._head = head
        self._tail = tail
        self._more = more
        self._parent = inside
        self._children: list[Block] = []
        self._taken: list[tuple[int, str]] = []
        self._left = 0
        self._open = False
        if inside is not None:
            inside._children.append(self)  # noqa: SLF001 - another of this class

    @property
    def opening_cost(self) -> int:
        """Return what its first entry pays besides itself, in UTF-16 units."""
        if self._open:
            return 0
        own = sum(map(count_characters, (self._head, self._tail, self._more))) + _DIGITS
        return own + (self._parent.opening_cost if self._parent else 0)

    def take(self, text: str, *, position: int) -> None:
        """Show *text* as a line of this block."""
        self._taken.append((position, text))
        self._open_up()

    def leave(self) -> None:
        """Count an entry that is not shown."""
        self._left += 1

    def __str__(self) -> str:
        """Return the block as text, lines ending in newlines."""
        if not self._open:
            return ""
        lines = "".join(f"{text}\n" for _, text in sorted(self._taken, key=lambda taken: taken[0]))
        more = self._more.format(self._left) if self._left and self._taken else ""
        return "".join([self._head, lines, more, *map(str, self._children), self._tail])

    def _open_up(self) -> None:
        self._open = True
        if self._parent is not None:
            self._parent._open_up()  # noqa: SLF001 - another of this class


_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that a block may show: its text, made when needed; what it counts as when left out (nothing: nobody misses it); its place in the block."""

    block: Block
    text: Callable[[], str]
    counts_as: str = ""
    position: int = 0


def fill_blocks(entries: Iterable[Entry], *, room: int) -> Counter[str]:
    """Give the blocks of *entries*, the most important first, as many as fit into *room* UTF-16 units; return what was left out, per kind."""
    left: Counter[str] = Counter()
    full = False
    for entry in entries:
        if not full:
            text = entry.text()
            cost = entry.block.opening_cost + count_characters(text) + 1
            full = cost > room
        if not full:
            entry.block.take(text, position=entry.position)
            room -= cost
        elif entry.counts_as:
            left[entry.counts_as] += 1
            entry.block.leave()
    return left


def format_omissions(left: Counter[str], *kinds: str, shown_by: str) -> str:
    """Return the line that counts what was *left* out, of *kinds* in this order, and names what shows it; nothing when all is there."""
    if not left:
        return ""
    more = ", ".join(format_count(left[kind], f"more {kind}") for kind in kinds if left[kind])
    return f"\n… and {more} {'was' if left.total() == 1 else 'were'} left out; `{shown_by}` shows all.\n"


def count_characters(text: str) -> int:
    """Return the length of *text* in UTF-16 units, never less than its characters: whichever a site counts, it fits."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
