"""Reasons in tables: their parts, and those that all rows share."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable

from imgsync.text.layout import shorten_digests
from imgsync.text.sanitize import sanitize_short

_SEPARATOR = "; "


@functools.lru_cache(maxsize=1024)
def split_why(text: str) -> list[str]:
    """Return the parts of a reason; most are equal."""
    return shorten_digests(sanitize_short(text)).split(_SEPARATOR)


def find_shared(texts: Iterable[str]) -> list[str]:
    """Return the parts that all reasons in *texts* have."""
    distinct = [split_why(text) for text in dict.fromkeys(texts)]
    return [part for part in distinct[0] if all(part in other for other in distinct[1:])] if distinct else []


def join_why(text: str, *, without: Collection[str]) -> str:
    """Return the reason *text* *without* the parts that the heading says."""
    return _SEPARATOR.join(part for part in split_why(text) if part not in without)
