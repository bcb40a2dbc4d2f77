"""
Parse YAML into plain values with their line and column.

Stricter than PyYAML: no duplicate keys, no tags, limited size. Values are built from the parser's events, so everything is counted
before it is built. Aliases and merge keys expand within the limits.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from dataclasses import field
from datetime import date
from typing import Any

import yaml

from imgsync.config.document import Document, Path, Place, Scalar, cut_before_secret, format_path
from imgsync.errors import FileError
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_message

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = yaml.resolver.Resolver()
_DEPTH_LIMIT = 32
_TOO_DEEP = f"nested deeper than {_DEPTH_LIMIT} levels"
_DOCUMENT_LIMIT = 1000
_SPLIT = "split it into several files"
_QUOTE = "put a value that begins with this character in quotes"
# What libyaml and PyYAML say -> what to do about it; the beginning of the message decides.
_YAML_HINTS = {
    "mapping values are not allowed": "check the indentation; write a space after the colon of a key, and quotes around a value with ': ' in it",
    "did not find expected comment or line break": "put a value that begins with '>' or '|' in quotes",
    "expected chomping or indentation indicators": "put a value that begins with '>' or '|' in quotes",
    "found a tab character": "indent with spaces, also a line that looks empty",
    "found character": "put a value that begins with this character in quotes",
    "found unexpected end of stream": "close the quotes that begin here",
    "did not find expected ',' or": "close the bracket, or add a comma; put a value with brackets in quotes",
    "expected ',' or": "close the bracket, or add a comma; put a value with brackets in quotes",
    "could not find expected ':'": "write `key: value`, with a space after the colon",
    "did not find expected key": "check the indentation, and the quotes of the line before",
    "did not find expected '-' indicator": "check the indentation of the list",
    "expected <block end>": "check the indentation, and the quotes of the line before",
}
_KINDS = {"int": "number", "float": "number", "bool": "boolean", "null": "null", "timestamp": "date"}


@dataclass(frozen=True, slots=True)
class YamlLimits:
    """The most bytes and values of a file, aliases expanded."""

    size_bytes: int = 1 << 20
    values: int = 50_000

    @property
    def too_much(self) -> str:
        """The error if aliases exceed the limit."""
        return f"aliases expand to more than {self.values:,} values"


_OWN_LIMITS = YamlLimits()


@dataclass(slots=True)
class _Node:
    kind: str
    place: Place
    text: str = ""
    plain: bool = False
    items: list[Any] = field(default_factory=list)
    # Number of nodes, with aliases expanded.
    weight: int = 1


class _InvalidYamlError(Exception):
    def __init__(self, place: Place, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.place, self.message, self.hint = place, message, hint


def read_limited(file: str, *, limits: YamlLimits = _OWN_LIMITS) -> bytes:
    """
    Read *file*, up to one byte more than the size limit.

    Raises:
        OSError: It cannot be read.
    """
    with pathlib.Path(file).open("rb") as opened:
        return opened.read(limits.size_bytes + 1)


def parse_documents(data: bytes, *, file: str, limits: YamlLimits = _OWN_LIMITS) -> tuple[list[Document], list[FileError]]:
    """Return the valid documents in *data*, and all YAML errors."""
    documents: list[Document] = []
    errors: list[FileError] = []
    try:
        for root in _parse_roots(_decode(data, limits), limits):
            document = Document(file, None)
            document.value = _Builder(document, errors, limits).build(root, (), 0)
            documents.append(document)
    except _InvalidYamlError as error:
        errors.append(FileError(file, error.place[0], error.place[1], "", error.message, error.hint))
    if not documents and not errors:
        errors.append(FileError(file, 1, 1, "", "the file is empty", "begin with `version: 1`"))
    return documents, errors


def _decode(data: bytes, limits: YamlLimits) -> str:
    if len(data) > limits.size_bytes:
        raise _InvalidYamlError((1, 1), f"the file is larger than {limits.size_bytes >> 20} MiB", _SPLIT)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _InvalidYamlError((line, error.start - data.rfind(b"\n", 0, error.start)), "the file is not UTF-8", "save it as UTF-8") from error
    for number, line_text in enumerate(text.splitlines(), 1):
        indent = line_text[: len(line_text) - len(line_text.lstrip())]
        if "\t" in indent and line_text.strip():
            raise _InvalidYamlError((number, indent.index("\t") + 1), "tab in the indentation", "indent with spaces")
    return text


def _parse_roots(text: str, limits: YamlLimits) -> Iterator[_Node]:
    """Yield the root node of each document, built without recursion."""
    anchors: dict[str, _Node] = {}
    stack: list[_Node] = []
    for event, place in _count_events(text, limits):
        if isinstance(event, yaml.DocumentStartEvent):
            anchors = {}
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            node = stack.pop()
            if stack:
                _add_weight(stack[-1], node, place, limits)
            else:
                yield node
        elif isinstance(event, yaml.NodeEvent):
            node = _make_node(event, place, anchors)
            if stack:
                stack[-1].items.append(node)
            if isinstance(event, yaml.CollectionStartEvent):
                _push_node(stack, node)
            elif stack:
                _add_weight(stack[-1], node, place, limits)
            elif node.text or not node.plain:
                yield node


def _count_events(text: str, limits: YamlLimits) -> Iterator[tuple[yaml.Event, Place]]:
    """Yield the events of *text* with their places, up to the limits."""
    documents = 0
    for seen, event in enumerate(_parse_events(text)):
        mark = event.start_mark
        place = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if seen > limits.values:
            raise _InvalidYamlError(place, f"the file has more than {limits.values:,} values", _SPLIT)
        if documents > _DOCUMENT_LIMIT:
            raise _InvalidYamlError(place, f"the file has more than {_DOCUMENT_LIMIT:,} documents", _SPLIT)
        yield event, place


def _add_weight(parent: _Node, node: _Node, place: Place, limits: YamlLimits) -> None:
    """Add the expanded size of *node* to *parent*, before anything is expanded."""
    parent.weight += node.weight
    if parent.weight > limits.values:
        raise _InvalidYamlError(place, limits.too_much, "write the values out")


def _push_node(stack: list[_Node], node: _Node) -> None:
    stack.append(node)
    if len(stack) > _DEPTH_LIMIT:
        raise _InvalidYamlError(node.place, _TOO_DEEP)


def _parse_events(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        # Only where it begins is of use for what is never closed.
        is_unclosed = "end of stream" in (error.problem or "") and error.context_mark is not None
        mark = error.context_mark if is_unclosed else error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if "nesting depth" in (error.problem or ""):
            # The parser looks ahead and reaches its own limit before ours.
            raise _InvalidYamlError(place, _TOO_DEEP) from error
        # Without the parser's excerpt of the line and what it quotes, which may be a password.
        problem = (error.problem or "cannot be parsed").partition("'")[0].rstrip()
        hint = next((hint for text, hint in _YAML_HINTS.items() if (error.problem or "").startswith(text)), "")
        raise _InvalidYamlError(place, f"invalid YAML: {sanitize_message(problem)}", hint) from error
    except yaml.reader.ReaderError as error:
        raise _InvalidYamlError((text.count("\n", 0, error.position) + 1, 1), "the file contains a control character", "remove it") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise _InvalidYamlError((1, 1), "invalid YAML") from error


def _make_node(event: yaml.NodeEvent, place: Place, anchors: dict[str, _Node]) -> _Node:
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            # Not quoted, nor is the tag below: without quotes, a password may be read as one.
            raise _InvalidYamlError(place, "undefined alias (*)", f"define its anchor before it, or {_QUOTE}")
        return anchors[event.anchor]
    tag = getattr(event, "tag", None)
    if tag is not None and tag not in {"!", "tag:yaml.org,2002:str"}:
        raise _InvalidYamlError(place, "a YAML tag (!) is not allowed", f"write the value without a tag, or {_QUOTE}")
    if isinstance(event, yaml.ScalarEvent):
        node = _Node("scalar", place, event.value, plain=event.implicit[0] and tag is None)
    else:
        node = _Node("list" if isinstance(event, yaml.SequenceStartEvent) else "map", place)
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


class _Builder:
    """Builds values from nodes; expands aliases and merge keys."""

    def __init__(self, document: Document, errors: list[FileError], limits: YamlLimits) -> None:
        self._limits = limits
        self._document = document
        self._errors = errors
        self._count = 0

    def build(self, node: _Node, path: Path, depth: int) -> Any:
        self._count += 1
        if self._count > self._limits.values or depth > _DEPTH_LIMIT:
            raise _InvalidYamlError(node.place, self._limits.too_much, "write the values out")
        self._document.places[path] = node.place
        if node.kind == "scalar":
            return self._build_scalar(node, path)
        if node.kind == "list":
            return [self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.items)]
        return self._build_mapping(node, path, depth)

    def _build_scalar(self, node: _Node, path: Path) -> Any:
        if not node.plain:
            return node.text
        kind = _RESOLVER.resolve(yaml.ScalarNode, node.text, (True, False)).rpartition(":")[2]
        if kind in _KINDS:
            self._document.written[path] = Scalar(node.text, _KINDS[kind])
        return _convert(node.text, kind)

    def _build_mapping(self, node: _Node, path: Path, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        first: dict[str, Place] = {}
        merged: list[_Node] = []
        for key, value in zip(node.items[::2], node.items[1::2], strict=True):
            if key.kind != "scalar":
                raise _InvalidYamlError(key.place, "a key must be text", "put a value that begins with '{' in quotes")
            if key.plain and key.text == "<<":
                merged += value.items if value.kind == "list" else [value]
                continue
            name = key.text
            if name in first:
                line, column = first[name]
                self._errors.append(
                    FileError(
                        self._document.file,
                        key.place[0],
                        key.place[1],
                        format_path((*path, name)),
                        f"duplicate key '{sanitize_message(name)}'" if cut_before_secret((*path, name)) == (*path, name) else "duplicate key",
                        f"first at line {line}, column {column}; keep one",
                    )
                )
                continue
            first[name] = key.place
            self._document.keys[(*path, name)] = key.place
            made[name] = self.build(value, (*path, name), depth + 1)
        for source in merged:
            self._merge(source, made, path, depth + 1)
        return made

    def _merge(self, source: _Node, made: dict[str, Any], path: Path, depth: int) -> None:
        """Add the keys of *source* that are missing in *made*."""
        self._count += 1
        if self._count > self._limits.values or depth > _DEPTH_LIMIT:
            raise _InvalidYamlError(source.place, self._limits.too_much, "write the values out")
        if source.kind != "map":
            raise _InvalidYamlError(source.place, "'<<' can only merge mappings")
        further: list[_Node] = []
        for key, value in zip(source.items[::2], source.items[1::2], strict=True):
            if key.kind != "scalar":
                raise _InvalidYamlError(key.place, "a key must be text")
            if key.plain and key.text == "<<":
                further += value.items if value.kind == "list" else [value]
            elif key.text not in made:
                self._document.keys[(*path, key.text)] = key.place
                made[key.text] = self.build(value, (*path, key.text), depth + 1)
        for node in further:
            self._merge(node, made, path, depth + 1)


def _convert(text: str, kind: str) -> Any:
    if kind == "bool":
        return text.lower() in {"true", "yes", "on"}
    if kind == "null":
        return None
    if kind == "int":
        # Only plain decimal integers are numbers; octal, hexadecimal and sexagesimal forms differ between YAML versions.
        return int(text) if text.lstrip("+-").isdigit() and len(text) < 20 and (text.lstrip("+-") == "0" or not text.lstrip("+-").startswith("0")) else 0.5
    if kind == "float":
        return 0.5
    if kind == "timestamp":
        return date.min
    return text
