"""
Read YAML documents one after the other, as text values.

For files of other programs: every scalar stays the text that is written, tags are ignored, and an error in one document does not hide the
others. One document at a time is in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from imgsync.config.document import Path
from imgsync.config.yaml_nodes import InvalidYamlError, YamlLimits, YamlNode, decode_text, parse_nodes
from imgsync.errors import FileError
from imgsync.system.dataclass import dataclass

# A marker at the start of a line ends a document, even within a text.
_MARKER = re.compile(rb"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_CONTENT = re.compile(rb"^(?!---[ \t]*(?:#|\r?$)|[ \t]*(?:#|\r?$)|%|\.\.\.)", re.MULTILINE)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_STREAM_LIMITS = YamlLimits(size_bytes=8 << 20, values=1_000_000, documents=50_000, depth=100, tags=True)


class TextDocument:
    """
    One document of a stream.

    Attributes:
        value: Mappings, lists, text, and None for null.
        repeated: The line and name of keys that a mapping has twice; the last one counts.
    """

    def __init__(self, root: YamlNode, *, first_line: int, limits: YamlLimits = _STREAM_LIMITS) -> None:
        """Build the value of *root*."""
        self._root, self._first_line, self._limits = root, first_line, limits
        self._count = 0
        self._children: dict[int, dict[str, YamlNode]] = {}
        self.repeated: list[tuple[int, str]] = []
        self.value = self._build(root, 0)

    def find_line(self, path: Path, inner_line: int = 0) -> int:
        """
        Return the line of the value at *path*.

        Args:
            path: Keys and indexes.
            inner_line: A line of the text there, from 1. It counts if the text is written with `|`.
        """
        node = self._root
        for part in path:
            below = self._index(node).get(part) if isinstance(part, str) else node.items[part] if node.kind == "list" else None
            if below is None:
                break
            node = below
        return self._line(node) + (inner_line if node.block else 0)

    def _index(self, node: YamlNode) -> dict[str, YamlNode]:
        """Return the values of a mapping, without copies of merged ones."""
        if id(node) not in self._children:
            self._children[id(node)] = _list_values(node)
        return self._children[id(node)]

    def _line(self, node: YamlNode) -> int:
        return node.place[0] + self._first_line - 1

    def _build(self, node: YamlNode, depth: int) -> Any:
        if node.kind == "scalar":
            return None if node.plain and node.text in _NULLS else node.text
        self._count += len(node.items)
        if self._count > self._limits.values or depth > self._limits.depth:
            raise InvalidYamlError(node.place, self._limits.too_much if depth <= self._limits.depth else self._limits.too_deep)
        if node.kind == "list":
            return [self._build(item, depth + 1) for item in node.items]
        return self._build_mapping(node, depth)

    def _build_mapping(self, node: YamlNode, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        merged: list[YamlNode] = []
        items = iter(node.items)
        for key, value in zip(items, items, strict=True):
            if key.kind != "scalar":
                raise InvalidYamlError(key.place, "a key must be text", "put a value that begins with '{' in quotes")
            if key.text == "<<" and key.plain:
                merged += value.items if value.kind == "list" else [value]
                continue
            if key.text in made:
                self.repeated.append((self._line(key), key.text))
            made[key.text] = self._build(value, depth + 1)
        for source in merged:
            added = self._build(source, depth + 1)
            if not isinstance(added, dict):
                raise InvalidYamlError(source.place, "'<<' can only merge mappings")
            made = {**added, **made}
        return made


@dataclass(frozen=True, slots=True)
class UnreadDocument:
    """A document that is not valid YAML, and its text."""

    error: FileError
    data: bytes
    first_line: int


def read_stream(data: bytes, *, file: str, limits: YamlLimits = _STREAM_LIMITS) -> Iterator[TextDocument | UnreadDocument]:
    """
    Yield the documents of *data*, valid or not.

    Empty documents are left out. `limits` hold for each document.
    """
    starts = [found.start() for found in _MARKER.finditer(data)]
    line = 1
    begin = 0
    for number, end in enumerate([*starts, len(data)]):
        if number > limits.documents:
            yield UnreadDocument(FileError(file, line, 1, "", f"there are more than {limits.documents:,} documents", "give them in several files"), b"", line)
            return
        piece = data[begin:end]
        if _CONTENT.search(piece) is not None:
            yield from _read_piece(piece, file=file, first_line=line, limits=limits)
        line += piece.count(b"\n")
        begin = end


def _read_piece(piece: bytes, *, file: str, first_line: int, limits: YamlLimits) -> Iterator[TextDocument | UnreadDocument]:
    try:
        for root in parse_nodes(_decode(piece, limits), limits):
            yield TextDocument(root, first_line=first_line, limits=limits)
    except InvalidYamlError as error:
        wrong = FileError(file, error.place[0] + first_line - 1, error.place[1], "", error.message, error.hint)
        yield UnreadDocument(wrong, piece, first_line)


def _decode(piece: bytes, limits: YamlLimits) -> str:
    if len(piece) > limits.size_bytes:
        raise InvalidYamlError((1, 1), f"a document is larger than {limits.size_bytes >> 20} MiB", "write it as JSON, or split it")
    return decode_text(piece)


def _list_values(node: YamlNode) -> dict[str, YamlNode]:
    """Return the values of a mapping by their keys, merged ones too."""
    found: dict[str, YamlNode] = {}
    merged: list[YamlNode] = []
    items = iter(node.items if node.kind == "map" else ())
    for key, value in zip(items, items, strict=True):
        if key.text == "<<" and key.plain:
            merged += value.items if value.kind == "list" else [value]
        else:
            found[key.text] = value
    for source in merged:
        found = {**_list_values(source), **found}
    return found
