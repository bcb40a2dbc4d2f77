"""
Parse YAML text into nodes, within limits.

A node has its place and the text of a scalar; nothing is converted. Everything is counted before it is built, and an alias counts as much as
what it stands for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from imgsync.config.document import Place
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_message

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SPLIT_HINT = "split it into several files"
QUOTE_HINT = "put a value that begins with this character in quotes"
# What libyaml and PyYAML say -> what to do about it; the beginning of the message decides.
_YAML_HINTS = {
    "mapping values are not allowed": "check the indentation; write a space after the colon of a key, and quotes around a value with ': ' in it",
    "did not find expected comment or line break": "put a value that begins with '>' or '|' in quotes; if it is, look for a missing quote above",
    "expected chomping or indentation indicators": "put a value that begins with '>' or '|' in quotes",
    "found a tab character": "indent with spaces, also a line that looks empty",
    "found character": QUOTE_HINT,
    "found unexpected end of stream": "close the quotes that begin here",
    "did not find expected ',' or": "close the bracket, or add a comma; put a value with brackets in quotes",
    "expected ',' or": "close the bracket, or add a comma; put a value with brackets in quotes",
    "could not find expected ':'": "write `key: value`, with a space after the colon",
    "did not find expected key": "check the indentation, and the quotes of the line before",
    "did not find expected '-' indicator": "check the indentation of the list",
    "expected <block end>": "check the indentation, and the quotes of the line before",
}
_STARTS = frozenset({yaml.MappingStartEvent, yaml.SequenceStartEvent})
_ENDS = frozenset({yaml.MappingEndEvent, yaml.SequenceEndEvent})
# One list for all scalars: a list each would be half of a file's objects.
_NO_ITEMS: list[Any] = []
_NODES = _STARTS | {yaml.ScalarEvent, yaml.AliasEvent}


@dataclass(frozen=True, slots=True)
class YamlLimits:
    """
    The most bytes and values of a file, aliases expanded.

    With `tags`, YAML tags are allowed and ignored.
    """

    size_bytes: int = 1 << 20
    values: int = 50_000
    documents: int = 1000
    depth: int = 32
    tags: bool = False

    @property
    def too_much(self) -> str:
        """The error if aliases exceed the limit."""
        return f"aliases expand to more than {self.values:,} values"

    @property
    def too_deep(self) -> str:
        """The error of a value that is nested too deep."""
        return f"nested deeper than {self.depth} levels"


class YamlNode:
    """
    A part of a YAML document.

    `weight` is the number of nodes in it, with aliases expanded. `block` says that a text is written with `|`.
    """

    __slots__ = ("_mark", "block", "items", "kind", "plain", "text", "weight")

    def __init__(self, kind: str, mark: Any, text: str, plain: bool, items: list[YamlNode], block: bool) -> None:
        self.block = block
        self.kind = kind
        self._mark = mark
        self.text = text
        self.plain = plain
        self.items = items
        self.weight = 1

    @property
    def place(self) -> Place:
        """The line and column, from 1."""
        return find_place(self._mark)


class InvalidYamlError(Exception):
    """Text that is not YAML, or exceeds a limit."""

    def __init__(self, place: Place, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.place, self.message, self.hint = place, message, hint


def decode_text(data: bytes) -> str:
    """
    Return *data* as text, without a byte order mark.

    Raises:
        InvalidYamlError: It is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidYamlError((line, error.start - data.rfind(b"\n", 0, error.start)), "the file is not UTF-8", "save it as UTF-8") from error


def parse_nodes(text: str, limits: YamlLimits) -> Iterator[YamlNode]:
    """
    Yield the root node of each document, built without recursion.

    Raises:
        InvalidYamlError: *text* is not YAML, or exceeds *limits*.
    """
    try:
        yield from _build_roots(text, limits)
    except yaml.MarkedYAMLError as error:
        raise _describe_error(error, limits) from error
    except yaml.reader.ReaderError as error:
        raise InvalidYamlError((text.count("\n", 0, error.position) + 1, 1), "the file contains a control character", "remove it") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidYamlError((1, 1), "invalid YAML") from error


def find_place(mark: Any) -> Place:
    """Return the line and column of the parser's *mark*, from 1."""
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def _build_roots(text: str, limits: YamlLimits) -> Iterator[YamlNode]:
    """Yield the root nodes; one step for each event of the parser."""
    get_event = _LOADER(text).get_event
    anchors: dict[str, YamlNode] = {}
    stack: list[YamlNode] = []
    seen = documents = 0
    while (kind := type(event := get_event())) is not yaml.StreamEndEvent:
        seen += 1
        if seen > limits.values:
            raise InvalidYamlError(find_place(event.start_mark), f"the file has more than {limits.values:,} values", SPLIT_HINT)
        if kind in _NODES:
            node = _make_node(event, anchors, limits)
            if kind in _STARTS:
                _push_node(stack, node, limits)
            elif stack:
                stack[-1].items.append(node)
                _add_weight(stack[-1], node, event, limits)
            elif node.text or not node.plain:
                yield node
        elif kind in _ENDS:
            node = stack.pop()
            if not stack:
                yield node
                continue
            _add_weight(stack[-1], node, event, limits)
        elif kind is yaml.DocumentStartEvent:
            anchors, documents = {}, _count_document(documents, event, limits)


def _count_document(documents: int, event: yaml.Event, limits: YamlLimits) -> int:
    if documents == limits.documents:
        raise InvalidYamlError(find_place(event.start_mark), f"the file has more than {limits.documents:,} documents", SPLIT_HINT)
    return documents + 1


def _add_weight(parent: YamlNode, node: YamlNode, event: yaml.Event, limits: YamlLimits) -> None:
    """Add the expanded size of *node* to *parent*, before anything is expanded."""
    parent.weight += node.weight
    if parent.weight > limits.values:
        raise InvalidYamlError(find_place(event.start_mark), limits.too_much, "write the values out")


def _push_node(stack: list[YamlNode], node: YamlNode, limits: YamlLimits) -> None:
    if stack:
        stack[-1].items.append(node)
    stack.append(node)
    if len(stack) > limits.depth:
        raise InvalidYamlError(node.place, limits.too_deep)


def _describe_error(error: yaml.MarkedYAMLError, limits: YamlLimits) -> InvalidYamlError:
    """Return what the parser says, without what it quotes."""
    # Only where it begins is of use for what is never closed.
    is_unclosed = "end of stream" in (error.problem or "") and error.context_mark is not None
    mark = error.context_mark if is_unclosed else error.problem_mark or error.context_mark
    place = find_place(mark)
    if "nesting depth" in (error.problem or ""):
        # The parser looks ahead and reaches its own limit before ours.
        return InvalidYamlError(place, limits.too_deep)
    # Without the parser's excerpt of the line and what it quotes, which may be a password.
    problem = (error.problem or "cannot be parsed").partition("'")[0].rstrip()
    hint = next((hint for text, hint in _YAML_HINTS.items() if (error.problem or "").startswith(text)), "")
    return InvalidYamlError(place, f"invalid YAML: {sanitize_message(problem)}", hint)


def _make_node(event: Any, anchors: dict[str, YamlNode], limits: YamlLimits) -> YamlNode:
    if type(event) is yaml.AliasEvent:
        if event.anchor not in anchors:
            # Not quoted, nor is the tag below: without quotes, a password may be read as one.
            raise InvalidYamlError(find_place(event.start_mark), "undefined alias (*)", f"define its anchor before it, or {QUOTE_HINT}")
        return anchors[event.anchor]
    tag = event.tag
    if tag is not None and not limits.tags and tag not in {"!", "tag:yaml.org,2002:str"}:
        raise InvalidYamlError(find_place(event.start_mark), "a YAML tag (!) is not allowed", f"write the value without a tag, or {QUOTE_HINT}")
    if type(event) is yaml.ScalarEvent:
        node = YamlNode("scalar", event.start_mark, event.value, event.implicit[0] and tag is None, _NO_ITEMS, event.style == "|")
    else:
        node = YamlNode("list" if type(event) is yaml.SequenceStartEvent else "map", event.start_mark, "", False, [], False)
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node
