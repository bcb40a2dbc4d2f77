"""Long lists in pages, without reading more of them than needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")
_MAX_PAGE = 100_000
_MAX_SEARCH = 200


class Page(Generic[Item]):
    """Page *number*, from 1, of a list with *total* items."""

    # Not one of our dataclasses, which cannot be generic.
    def __init__(self, items: tuple[Item, ...], number: int, size: int, total: int) -> None:
        """Hold *items*, at most *size*."""
        self.items = items
        self.number = number
        self.size = size
        self.total = total

    @property
    def first(self) -> int:
        """Return the number of the first item, 0 if none."""
        return (self.number - 1) * self.size + 1 if self.items else 0

    @property
    def last(self) -> int:
        """Return the number of the last item."""
        return self.first + len(self.items) - 1 if self.items else 0

    @property
    def pages(self) -> int:
        """Return the number of pages, at least 1."""
        return max(1, -(-self.total // self.size))


def cut_page(items: Sequence[Item], number: int, size: int) -> Page[Item]:
    """Return page *number* of *items*, the last if there are fewer."""
    number = min(number, max(1, -(-len(items) // size)))
    return Page(tuple(items[(number - 1) * size : number * size]), number, size, len(items))


def read_page(items: Iterable[Item], total: int, number: int, size: int) -> Page[Item]:
    """Return page *number* of *items*, which are *total*, and read no further."""
    number = min(number, max(1, -(-total // size)))
    return Page(tuple(islice(items, (number - 1) * size, number * size)), number, size, total)


def parse_page(text: str) -> int:
    """Return the page that a query names, 1 if it names none."""
    return min(max(1, int(text)), _MAX_PAGE) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def split_words(text: str) -> list[str]:
    """Return the words of a search, in lower case."""
    return text[:_MAX_SEARCH].lower().split()
