"""Write a document as JSON, with its rows one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from imgsync.text.sanitize import sanitize_json

# Characters that are written at once.
_PIECE = 1 << 16


class Rows:
    """A list of a document; its items are made when read."""

    def __init__(self, iter_items: Callable[[], Iterable[Any]]) -> None:
        """Take what yields the items."""
        self._iter_items = iter_items

    def __iter__(self) -> Iterator[Any]:
        """Yield each item."""
        return iter(self._iter_items())


def iter_json(document: object, *, indented: bool, ascii_only: bool = False, end: str = "") -> Iterator[str]:
    """
    Yield *document*, and *end*, as JSON text in pieces.

    The text has no CI commands and no invisible characters.
    """
    encode = json.JSONEncoder(indent=2 if indented else None, separators=None if indented else (",", ":"), ensure_ascii=ascii_only).encode
    pieces: list[str] = []
    size = 0
    for piece in _iter_object(document, encode, indented=indented) if isinstance(document, Mapping) else [encode(document)]:
        pieces.append(sanitize_json(piece))
        size += len(piece)
        if size >= _PIECE:
            yield "".join(pieces)
            pieces, size = [], 0
    yield "".join([*pieces, end])


def to_json(document: object, *, indented: bool, ascii_only: bool = False) -> str:
    """Return *document* as JSON text without CI commands and invisible characters."""
    return "".join(iter_json(document, indented=indented, ascii_only=ascii_only))


def _iter_object(document: Mapping[str, Any], encode: Callable[[Any], str], *, indented: bool) -> Iterator[str]:
    if not document:
        yield "{}"
        return
    first, between, last = ("{\n  ", ",\n  ", "\n}") if indented else ("{", ",", "}")
    colon = ": " if indented else ":"
    for number, (name, value) in enumerate(document.items()):
        yield f"{between if number else first}{encode(name)}{colon}"
        if isinstance(value, Rows):
            yield from _iter_rows(value, encode, indented=indented)
        else:
            yield _indent(encode(value), "  ")
    yield last


def _iter_rows(rows: Rows, encode: Callable[[Any], str], *, indented: bool) -> Iterator[str]:
    first, between, last = ("[\n    ", ",\n    ", "\n  ]") if indented else ("[", ",", "]")
    number = -1
    for number, row in enumerate(rows):
        yield f"{between if number else first}{_indent(encode(row), '    ')}"
    yield "[]" if number < 0 else last


def _indent(text: str, blanks: str) -> str:
    # A line break within a text is escaped.
    return text.replace("\n", f"\n{blanks}")
