"""
Read JSON with the lines of its texts.

The items of a list object, such as `kubectl get pods -o json` writes, are read one at a time, so that a large cluster fits in memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from imgsync.config.document import Path

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*")
_ITEMS = "items"


class JsonDocument:
    """One JSON value, or one item of a list object."""

    def __init__(self, value: Any, *, text: str, start: int, first_line: int) -> None:
        """Keep where *value* begins in *text*: its index and line."""
        self.value = value
        self._text, self._start, self._first_line = text, start, first_line
        self._lines: dict[Path, int] = {}

    def find_line(self, path: Path, inner_line: int = 0) -> int:  # noqa: ARG002 - a text of JSON has one line
        """Return the line of the text at *path*."""
        if not self._lines:
            self._lines = dict(_place_texts(self.value, self._text, self._start, self._first_line))
        return next((self._lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self._lines), self._first_line)


def read_json(text: str) -> Iterator[JsonDocument]:
    """
    Yield the value of *text*; of a list object, each item.

    Numbers stay the text that is written.

    Raises:
        ValueError: *text* is not JSON. What was yielded before is valid.
    """
    scanner = _Scanner(text)
    try:
        yield from scanner.read()
    except RecursionError as error:
        raise ValueError("nested too deep") from error


class _Number(str):
    """A number as written; a text of JSON is a plain str."""

    __slots__ = ()


class _Scanner:
    """Reads a text from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._decoder = json.JSONDecoder(strict=False, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
        self._at = 0
        self._line, self._counted = 1, 0

    def read(self) -> Iterator[JsonDocument]:
        # Some programs write one value after the other.
        while (start := self._skip_space()) < len(self._text):
            if self._text.startswith("{", start):
                yield from self._read_object()
            else:
                yield self._read_value()

    def _read_object(self) -> Iterator[JsonDocument]:
        """Yield the object that begins here, after the items of its list."""
        start, line = self._at, self._count_line(self._at)
        members: dict[str, Any] = {}
        has_items = False
        self._at += 1
        while self._peek() != "}":
            key = self._read_key()
            if key == _ITEMS and self._peek() == "[":
                has_items = True
                members[key] = []
                yield from self._read_items()
            else:
                members[key], self._at = self._decoder.raw_decode(self._text, self._skip_space())
            self._skip_comma("}")
        self._at += 1
        yield JsonDocument(members, text="" if has_items else self._text, start=start, first_line=line)

    def _read_items(self) -> Iterator[JsonDocument]:
        self._at += 1
        while self._peek() != "]":
            yield self._read_value()
            self._skip_comma("]")
        self._at += 1

    def _read_key(self) -> str:
        if self._peek() != '"':
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", self._text, self._at)
        key, self._at = self._decoder.raw_decode(self._text, self._at)
        if self._peek() != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", self._text, self._at)
        self._at += 1
        self._skip_space()
        return str(key)

    def _skip_comma(self, closing: str) -> None:
        if self._peek() == ",":
            self._at += 1
        elif self._peek() != closing:
            raise json.JSONDecodeError("Expecting ',' delimiter", self._text, self._at)

    def _read_value(self) -> JsonDocument:
        start = self._skip_space()
        value, self._at = self._decoder.raw_decode(self._text, start)
        return JsonDocument(value, text=self._text, start=start, first_line=self._count_line(start))

    def _count_line(self, place: int) -> int:
        self._line += self._text.count("\n", self._counted, place)
        self._counted = place
        return self._line

    def _peek(self) -> str:
        return self._text[self._skip_space() : self._at + 1]

    def _skip_space(self) -> int:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at


def _place_texts(value: Any, text: str, start: int, line: int) -> Iterator[tuple[Path, int]]:
    """
    Yield the path and line of each text in *value*.

    Python keeps the order of JSON, so the n-th text of the value is the n-th of the source. A key that is there twice breaks that, and
    the lines after it are too small.
    """
    found = _STRING.finditer(text, start)
    counted = start
    for (path, is_value), string in zip(_list_texts(value, ()), found, strict=False):
        line += text.count("\n", counted, string.start())
        counted = string.start()
        if is_value:
            yield path, line


def _list_texts(value: Any, path: Path) -> Iterator[tuple[Path, bool]]:
    """Yield each key and text of *value*, in order."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield (*path, key), False
            yield from _list_texts(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _list_texts(below, (*path, index))
    elif type(value) is str:
        yield path, True
