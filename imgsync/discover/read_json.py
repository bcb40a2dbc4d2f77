"""
Read JSON with the lines of its texts.

The items of a list object, such as `kubectl get pods -o json` writes, are read one at a time, so that a large cluster fits in memory.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from imgsync.config.document import Path

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*")
_ITEMS = "items"
# What is decoded at once; a larger value takes as much as it has.
_PIECE_BYTES = 1 << 20
_CUT_OF_NUMBER = len("e+")


class InvalidJsonError(ValueError):
    """Bytes that are not JSON, and the line, 0 if unknown."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.message, self.line = message, line


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


def read_json(data: bytes) -> Iterator[JsonDocument]:
    """
    Yield the value of *data*; of a list object, each item.

    Numbers stay the text that is written.

    Raises:
        InvalidJsonError: *data* is not JSON. What was yielded before is valid.
    """
    scanner = _Scanner(data)
    try:
        yield from scanner.read()
    except RecursionError as error:
        raise InvalidJsonError("nested too deep") from error
    except UnicodeDecodeError as error:
        raise InvalidJsonError(f"it is not UTF-8: {error.reason}") from error


class _Number(str):
    """A number as written; a text of JSON is a plain str."""

    __slots__ = ()


class _Scanner:
    """Reads bytes to their end, a piece at a time."""

    def __init__(self, data: bytes) -> None:
        self._data, self._taken = memoryview(data), 0
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._values = json.JSONDecoder(strict=False, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
        self._text = ""
        self._at = 0
        self._line, self._counted = 1, 0

    def read(self) -> Iterator[JsonDocument]:
        # Some programs write one value after the other.
        while character := self._peek():
            if character == "{":
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
                members[key] = self._decode()
            self._skip_comma("}")
        self._at += 1
        yield JsonDocument(members, text="" if has_items else self._text, start=start, first_line=line)

    def _read_items(self) -> Iterator[JsonDocument]:
        self._at += 1
        while self._peek() != "]":
            yield self._read_value()
            self._skip_comma("]")
            self._drop_text()
        self._at += 1

    def _read_key(self) -> str:
        if self._peek() != '"':
            raise self._make_error("Expecting property name enclosed in double quotes")
        key = self._decode()
        if self._peek() != ":":
            raise self._make_error("Expecting ':' delimiter")
        self._at += 1
        return str(key)

    def _skip_comma(self, closing: str) -> None:
        if self._peek() == ",":
            self._at += 1
        elif self._peek() != closing:
            raise self._make_error("Expecting ',' delimiter")

    def _read_value(self) -> JsonDocument:
        self._peek()
        start = self._at
        value = self._decode()
        return JsonDocument(value, text=self._text, start=start, first_line=self._count_line(start))

    def _decode(self) -> Any:
        """Return the value that begins here, and pass it."""
        self._peek()
        while True:
            try:
                value, end = self._values.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._take_text():
                    continue
                self._at = max(self._counted, error.pos)
                raise self._make_error(error.msg) from error
            # A number may go on in the next piece, also after `1.` and `1e+`.
            if len(self._text) - end > _CUT_OF_NUMBER or not self._take_text():
                self._at = end
                return value

    def _peek(self) -> str:
        """Return the next character beside white space, "" at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or not self._take_text():
                return self._text[self._at : self._at + 1]

    def _take_text(self) -> bool:
        """Decode the next piece; return False at the end."""
        if self._taken >= len(self._data):
            return False
        # As much as is there, so that a value is not decoded too often.
        end = self._taken + max(_PIECE_BYTES, len(self._text) - self._at)
        self._text += self._decoder.decode(self._data[self._taken : end], final=end >= len(self._data))
        self._taken = end
        return True

    def _drop_text(self) -> None:
        """Forget what was read, if it is much."""
        if self._at >= _PIECE_BYTES:
            self._count_line(self._at)
            self._text = self._text[self._at :]
            self._at = self._counted = 0

    def _count_line(self, place: int) -> int:
        self._line += self._text.count("\n", self._counted, place)
        self._counted = place
        return self._line

    def _make_error(self, message: str) -> InvalidJsonError:
        return InvalidJsonError(message, self._count_line(self._at))


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
