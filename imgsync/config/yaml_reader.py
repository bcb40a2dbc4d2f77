"""
YAML to plain values that know where they stand. Stricter than PyYAML: no duplicate keys, no tags, bounded in size.

Built from the parser's events, so that nothing is constructed before it is counted: aliases and merge keys are allowed
as long as what they expand to stays within the budget.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import yaml

from imgsync.errors import FileError
from imgsync.text.sanitize import sanitize_message

Path = tuple[str | int, ...]
Place = tuple[int, int]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = yaml.resolver.Resolver()
_SIZE_LIMIT = 1 << 20
_DEPTH_LIMIT = 32
_TOO_DEEP = f"nested deeper than {_DEPTH_LIMIT} levels"
_NODE_LIMIT = 50_000
_DOCUMENT_LIMIT = 1000
_TOO_MUCH = "aliases expand to more than a configuration can hold"
_SPLIT = "split it into several files"
_WORDS = {"int": "a number", "float": "a number", "bool": "true or false", "null": "nothing", "timestamp": "a date"}
_NULLS = {"", "~", "null", "Null", "NULL"}


@dataclass(frozen=True, slots=True)
class Scalar:
    """A plain scalar that YAML takes for something else than text: what was written, and what YAML makes of it."""

    written: str
    kind: str


@dataclass(slots=True)
class Document:
    """One YAML document: its value, and where each part of it stands (1-based line and column)."""

    file: str
    value: Any
    places: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    written: dict[Path, Scalar] = field(default_factory=dict)

    def fault(self, path: Path, message: str, *, hint: str = "", at_key: bool = False) -> FileError:
        """Return a fault about the part at *path*, placed at its key or its value, else at the nearest part above."""
        table = self.keys if at_key else self.places
        place = (
            table.get(path)
            or self.places.get(path)
            or next((self.places[path[:cut]] for cut in range(len(path) - 1, -1, -1) if path[:cut] in self.places), (1, 1))
        )
        return FileError(self.file, place[0], place[1], path_text(path), message, hint)


@dataclass(slots=True)
class _Node:
    kind: str
    place: Place
    text: str = ""
    plain: bool = False
    items: list[Any] = field(default_factory=list)
    # How many nodes it is, what aliases stand for included.
    weight: int = 1


class _Bad(Exception):  # noqa: N818 - a fault on its way up, not an error of its own
    def __init__(self, place: Place, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.place, self.message, self.hint = place, message, hint


def path_text(path: Path) -> str:
    """Return *path* as users write it, `mirrors[2].tags.semver`, but for a login before a host's name."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{sanitize_message(part.rpartition('@')[2])}"
    return text


def read_some(file: str) -> bytes:
    """
    Return what is in *file*, no more of it than shows that it is larger than a part of a configuration may be.

    Raises:
        OSError: It cannot be read.
    """
    with pathlib.Path(file).open("rb") as opened:
        return opened.read(_SIZE_LIMIT + 1)


def read_documents(data: bytes, *, file: str) -> tuple[list[Document], list[FileError]]:
    """Return the documents in *data* and every fault of their form; a document with a fault is left out."""
    documents: list[Document] = []
    faults: list[FileError] = []
    try:
        for root in _roots(_decoded(data)):
            document = Document(file, None)
            document.value = _Builder(document, faults).build(root, (), 0)
            documents.append(document)
    except _Bad as bad:
        faults.append(FileError(file, bad.place[0], bad.place[1], "", bad.message, bad.hint))
    if not documents and not faults:
        faults.append(FileError(file, 1, 1, "", "the file is empty", "begin with `version: 1`"))
    return documents, faults


def _decoded(data: bytes) -> str:
    if len(data) > _SIZE_LIMIT:
        raise _Bad((1, 1), f"the file is larger than {_SIZE_LIMIT >> 20} MiB", _SPLIT)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _Bad((line, error.start - data.rfind(b"\n", 0, error.start)), "the file is not UTF-8", "save it as UTF-8") from error
    for number, line_text in enumerate(text.splitlines(), 1):
        indent = line_text[: len(line_text) - len(line_text.lstrip())]
        if "\t" in indent and line_text.strip():
            raise _Bad((number, indent.index("\t") + 1), "a tab stands where YAML wants spaces", "indent with spaces")
    return text


def _roots(text: str) -> Iterator[_Node]:
    """Yield the root node of each document, built from the parser's events without recursion."""
    anchors: dict[str, _Node] = {}
    stack: list[_Node] = []
    for event, place in _counted_events(text):
        if isinstance(event, yaml.DocumentStartEvent):
            anchors = {}
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            node = stack.pop()
            if stack:
                _add_weight(stack[-1], node, place)
            else:
                yield node
        elif isinstance(event, yaml.NodeEvent):
            node = _node_of(event, place, anchors)
            if stack:
                stack[-1].items.append(node)
            if isinstance(event, yaml.CollectionStartEvent):
                _deepen(stack, node)
            elif stack:
                _add_weight(stack[-1], node, place)
            elif node.text or not node.plain:
                yield node


def _counted_events(text: str) -> Iterator[tuple[yaml.Event, Place]]:
    """Yield the events of *text* with their places, as long as there are not too many."""
    documents = 0
    for seen, event in enumerate(_events(text)):
        mark = event.start_mark
        place = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if seen > _NODE_LIMIT:
            raise _Bad(place, f"the file has more than {_NODE_LIMIT:,} parts", _SPLIT)
        if documents > _DOCUMENT_LIMIT:
            raise _Bad(place, f"the file has more than {_DOCUMENT_LIMIT:,} documents", _SPLIT)
        yield event, place


def _add_weight(parent: _Node, node: _Node, place: Place) -> None:
    """Count what *parent* will be when it is built: what aliases expand to is known before they do."""
    parent.weight += node.weight
    if parent.weight > _NODE_LIMIT:
        raise _Bad(place, _TOO_MUCH, "write the values out")


def _deepen(stack: list[_Node], node: _Node) -> None:
    stack.append(node)
    if len(stack) > _DEPTH_LIMIT:
        raise _Bad(node.place, _TOO_DEEP)


def _events(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if "nesting depth" in (error.problem or ""):
            # The parser has a limit of its own, and looks so far ahead that it meets it before we meet ours.
            raise _Bad(place, _TOO_DEEP) from error
        # The parser's own text would quote the line, and with it perhaps a password.
        raise _Bad(place, f"this is not valid YAML: {sanitize_message(error.problem or 'it cannot be read')}") from error
    except yaml.reader.ReaderError as error:
        raise _Bad((text.count("\n", 0, error.position) + 1, 1), "the file holds a control character", "remove it") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise _Bad((1, 1), "this is not valid YAML") from error


def _node_of(event: yaml.NodeEvent, place: Place, anchors: dict[str, _Node]) -> _Node:
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            raise _Bad(place, f"the alias *{sanitize_message(event.anchor or '')} names no anchor before it")
        return anchors[event.anchor]
    tag = getattr(event, "tag", None)
    if tag is not None and tag not in {"!", "tag:yaml.org,2002:str"}:
        raise _Bad(place, f"the tag {sanitize_message(tag)} is not allowed", "write the value without a tag")
    if isinstance(event, yaml.ScalarEvent):
        node = _Node("scalar", place, event.value, plain=event.implicit[0] and tag is None)
    else:
        node = _Node("list" if isinstance(event, yaml.SequenceStartEvent) else "map", place)
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


class _Builder:
    """Makes values of nodes, expanding aliases and merge keys within the budget."""

    def __init__(self, document: Document, faults: list[FileError]) -> None:
        self._document = document
        self._faults = faults
        self._made = 0

    def build(self, node: _Node, path: Path, depth: int) -> Any:
        self._made += 1
        if self._made > _NODE_LIMIT or depth > _DEPTH_LIMIT:
            raise _Bad(node.place, _TOO_MUCH, "write the values out")
        self._document.places[path] = node.place
        if node.kind == "scalar":
            return self._scalar(node, path)
        if node.kind == "list":
            return [self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.items)]
        return self._mapping(node, path, depth)

    def _scalar(self, node: _Node, path: Path) -> Any:
        if not node.plain:
            return node.text
        kind = _RESOLVER.resolve(yaml.ScalarNode, node.text, (True, False)).rpartition(":")[2]
        if kind in _WORDS:
            self._document.written[path] = Scalar(node.text, _WORDS[kind])
        return _typed(node.text, kind)

    def _mapping(self, node: _Node, path: Path, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        first: dict[str, Place] = {}
        merged: list[_Node] = []
        for key, value in zip(node.items[::2], node.items[1::2], strict=True):
            if key.kind != "scalar":
                raise _Bad(key.place, "a key must be text")
            if key.plain and key.text == "<<":
                merged += value.items if value.kind == "list" else [value]
                continue
            name = key.text
            if name in first:
                line, column = first[name]
                self._faults.append(
                    FileError(
                        self._document.file,
                        key.place[0],
                        key.place[1],
                        path_text((*path, name)),
                        f"'{sanitize_message(name)}' is given twice",
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
        """Add to *made* what *source* has and *made* lacks; each part stands where the merged mapping wrote it."""
        self._made += 1
        if self._made > _NODE_LIMIT or depth > _DEPTH_LIMIT:
            raise _Bad(source.place, _TOO_MUCH, "write the values out")
        if source.kind != "map":
            raise _Bad(source.place, "'<<' merges mappings alone")
        further: list[_Node] = []
        for key, value in zip(source.items[::2], source.items[1::2], strict=True):
            if key.kind != "scalar":
                raise _Bad(key.place, "a key must be text")
            if key.plain and key.text == "<<":
                further += value.items if value.kind == "list" else [value]
            elif key.text not in made:
                self._document.keys[(*path, key.text)] = key.place
                made[key.text] = self.build(value, (*path, key.text), depth + 1)
        for node in further:
            self._merge(node, made, path, depth + 1)


def _typed(text: str, kind: str) -> Any:
    if kind == "bool":
        return text.lower() in {"true", "yes", "on"}
    if kind == "null":
        return None
    if kind == "int":
        # Only what reads the same everywhere is a number: YAML's octal, hexadecimal and sexagesimal are left to the user to quote.
        return int(text) if text.lstrip("+-").isdigit() and len(text) < 20 and (text.lstrip("+-") == "0" or not text.lstrip("+-").startswith("0")) else 0.5
    if kind == "float":
        return 0.5
    if kind == "timestamp":
        return date.min
    return text
