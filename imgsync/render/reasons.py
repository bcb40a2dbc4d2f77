"""Reasons in tables: their parts, and those that all rows share."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Sequence

from imgsync.text.layout import Layout, shorten_digests, wrap
from imgsync.text.sanitize import sanitize_short

_SEPARATOR = "; "


@functools.lru_cache(maxsize=1024)
def split_why(text: str) -> list[str]:
    """Return the parts of a reason; most are equal."""
    return shorten_digests(sanitize_short(text)).split(_SEPARATOR)


def find_shared(texts: Sequence[str]) -> list[str]:
    """Return the parts that all of several reasons in *texts* have."""
    if len(texts) < 2:
        return []
    first, *others = (split_why(text) for text in dict.fromkeys(texts))
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
