"""A YAML file as a tree of what is written, comments included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from imgsync.system.dataclass import dataclass


@dataclass(slots=True)
class Node:
    """
    A scalar, an alias, a mapping or a list.

    Attributes:
        start: Index of its first character, that of its anchor if it has one.
        anchor: `&name`, or "".
        text: What is written, of a scalar or an alias.
        value: The text of a scalar as YAML reads it.
        style: The indicator of a scalar's style: `"`, `'`, `|`, `>`, or "" for plain.
        parts: Children of a mapping or a list.
        is_mapping: Whether *parts* have keys.
        is_flow: Whether it is written in brackets.
        foot: Comments after the last part.
        column: Where the keys or dashes of a block begin.
    """

    start: int
    end: int = 0
    anchor: str = ""
    text: str = ""
    value: str = ""
    style: str = ""
    parts: list[Part] | None = None
    is_mapping: bool = False
    is_flow: bool = False
    foot: list[str] = field(default_factory=list)
    column: int = 0

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below, in the order of the file."""
        yield self
        for part in self.parts or ():
            yield from part.walk()


@dataclass(slots=True)
class Part:
    """
    A key with its value, or an item of a list.

    Attributes:
        key: None in a list.
        start: Index of the key or the dash.
        head: Comment lines above; "" is a blank line.
        tail: The comment at the end of its line, or "".
    """

    key: Node | None
    value: Node
    start: int
    head: list[str] = field(default_factory=list)
    tail: str = ""

    @property
    def name(self) -> str:
        """Return the key as text."""
        return self.key.value if self.key is not None else ""

    def walk(self) -> Iterator[Node]:
        """Yield the nodes of the key and the value."""
        if self.key is not None:
            yield from self.key.walk()
        yield from self.value.walk()


@dataclass(slots=True)
class YamlDocument:
    """One document of a file; *header* are the comments at its top."""

    root: Node
    start: int
    header: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Return whether it has nothing but comments."""
        return self.root.parts is None and not self.root.text and not self.root.anchor
