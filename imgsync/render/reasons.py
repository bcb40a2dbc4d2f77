"""Reasons in tables: their parts, and those that all rows share."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from imgsync.text.layout import Layout, shorten_digests, wrap
from imgsync.text.sanitize import sanitize_short

_SEPARATOR = "; "


@functools.lru_cache(maxsize=1024)
def split_why(text: str) -> list[str]:
    """Return the parts of a reason; most are equal."""
    return shorten_digests(sanitize_short(text)).split(_SEPARATOR)


def find_shared(texts: Iterable[str]) -> list[str]:
    """Return the parts that all of several reasons in *texts* have."""
    found = Counter(texts)
    if found.total() < 2:
        return []
    first, *others = map(split_why, found)
    return [part for part in first if all(part in other for other in others)]


def render_shared(what: str, shared: Collection[str], layout: Layout) -> Iterator[str]:
    """Yield the line above rows: *what* they are and share."""
    if shared:
        yield from render_note(what, "; ".join(shared), layout)


def render_note(what: str, text: str, layout: Layout) -> Iterator[str]:
    """Yield *text*, which is sanitized, below the heading of a mirror."""
    yield from wrap(f"{what}: {text}", layout.width, first="    ", rest="      ")


def join_why(text: str, *, without: Collection[str]) -> str:
    """Return the reason *text* *without* the parts that the heading says."""
    return _SEPARATOR.join(part for part in split_why(text) if part not in without)
