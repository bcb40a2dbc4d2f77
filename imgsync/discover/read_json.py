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
            if self._text.startswith("{", start) and (items := self._find_items(start)) >= 0:
                yield from self._read_items(start, items)
            else:
                self._at = start
                yield self._read_value()

    def _read_items(self, start: int, items: int) -> Iterator[JsonDocument]:
        """Yield each item of a list object, then its rest."""
        first_line = self._count_line(start)
        self._at = items + 1
        while self._peek() not in {"]", ""}:
            yield self._read_value()
            if self._peek() != ",":
                break
            self._at += 1
        if self._peek() != "]":
            raise json.JSONDecodeError("Expecting ',' delimiter", self._text, self._at)
        before = self._text[start : items + 1]
        try:
            rest, end = self._decoder.raw_decode(before + self._text[self._at :])
        except json.JSONDecodeError as error:
            raise json.JSONDecodeError(error.msg, self._text, self._at + error.pos - len(before)) from error
        self._at += end - len(before)
        yield JsonDocument(rest, text="", start=0, first_line=first_line)

    def _find_items(self, start: int) -> int:
        """Return where the list of the key `items` begins, -1 without one."""
        self._at = start + 1
        while self._peek() == '"':
            key, self._at = self._decoder.raw_decode(self._text, self._at)
            if self._peek() != ":":
                return -1
            self._at += 1
            if key == _ITEMS:
                return self._at if self._peek() == "[" else -1
            _, self._at = self._decoder.raw_decode(self._text, self._skip_space())
            if self._peek() == ",":
                self._at += 1
        return -1

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
