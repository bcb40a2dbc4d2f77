"""Read the tree of a YAML file from the parser's events."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from imgsync.fmt.tree import Node, Part, YamlDocument

# PyYAML's parser in Python, whose marks are indexes of the text.
_LOADER = yaml.SafeLoader
SIMPLER = "write it in a simpler form of YAML"
_ANCHOR = re.compile(r"&[^\s,\[\]{}]+")


class UnreadableError(Exception):
    """The file has a form of YAML that cannot be formatted."""

    def __init__(self, line: int, column: int, advice: str) -> None:
        """Give its place, counted from 1, and *advice*."""
        super().__init__(advice)
        self.line = line
        self.column = column
        self.advice = advice


def read_documents(text: str) -> list[YamlDocument]:
    """
    Return the documents of *text*, which must be valid, without comments.

    Raises:
        UnreadableError: A document has a directive (%), or the parser in Python refuses what the one in C accepts.
    """
    try:
        return _read_documents(text)
    except yaml.YAMLError as error:
        # An error of its reader has no mark.
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        line, column = (mark.line, mark.column) if mark else (0, 0)
        is_tab = text.split("\n")[line][column : column + 1] == "\t"
        raise UnreadableError(line + 1, column + 1, "replace this tab by spaces" if is_tab else SIMPLER) from error


def _read_documents(text: str) -> list[YamlDocument]:
    documents: list[YamlDocument] = []
    events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
    for event in events:
        start = event.start_mark.index
        if isinstance(event, yaml.DocumentStartEvent):
            if event.version or event.tags:
                raise UnreadableError(text.count("\n", 0, start) + 1, 1, "remove the directive (%)")
            documents.append(YamlDocument(_read_node(next(events), events, text), start if documents else 0))
    return documents


def _read_node(event: Any, events: Iterator[Any], text: str) -> Node:
    start, end = event.start_mark.index, event.end_mark.index
    if isinstance(event, yaml.AliasEvent):
        return Node(start, end, text=text[start:end])
    anchor = f"&{event.anchor}" if event.anchor else ""
    if isinstance(event, yaml.ScalarEvent):
        written = text[start:end]
        # A tag, such as `!`, stays with the text.
        body = _ANCHOR.sub("", written, count=1).lstrip() if event.anchor else written
        return Node(start, end, anchor, _trim(body, event.style or ""), event.value, event.style or "")
    node = Node(start, anchor=anchor, parts=[], is_mapping=isinstance(event, yaml.MappingStartEvent), is_flow=bool(event.flow_style))
    _read_parts(node, events, text)
    return node


def _trim(body: str, style: str) -> str:
    """Return the text of a scalar without what follows it."""
    if style in {"|", ">"} and "+" in body.partition("\n")[0].partition("#")[0]:
        # Its blank lines at the end are content.
        return body.rstrip(" ").removesuffix("\n")
    return body if style in {'"', "'"} else body.rstrip("\n ")


def _read_parts(node: Node, events: Iterator[Any], text: str) -> None:
    assert node.parts is not None  # noqa: S101 - a mapping or a list
    for event in events:
        node.end = event.end_mark.index
        if isinstance(event, yaml.CollectionEndEvent):
            break
        first = _read_node(event, events, text)
        if node.is_mapping:
            node.parts.append(Part(first, _read_node(next(events), events, text), first.start))
        else:
            node.parts.append(Part(None, first, first.start))
