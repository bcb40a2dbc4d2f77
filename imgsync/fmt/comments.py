"""
Find comments, and attach each to the part that it is about.

A comment at the end of a line belongs to that line. One on its own line belongs to the part below it, or, if it is indented as deep as a
block that ends there, to that block's end.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence

from imgsync.fmt.tree import Node, Part, YamlDocument
from imgsync.system.dataclass import dataclass

# Between scalars, every # begins a comment. YAML 1.1 has more ends of lines than \n.
_COMMENT = re.compile("#[^\n\x85\u2028\u2029]*")


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment; *is_own* says that nothing else is on its line."""

    start: int
    text: str
    column: int
    is_own: bool


@dataclass(slots=True)
class _Place:
    """A part in a block, with the blocks around it, outermost first."""

    part: Part
    blocks: tuple[Node, ...]


def find_comments(text: str, documents: Sequence[YamlDocument]) -> list[Comment]:
    """Return the comments of *text*; what scalars contain is not one."""
    found: list[Comment] = []
    above = 0
    for start, end in [*_list_scalars(documents), (len(text), len(text))]:
        for match in _COMMENT.finditer(text, above, start):
            line = text.rfind("\n", 0, match.start()) + 1
            found.append(Comment(match.start(), match[0].rstrip(), match.start() - line, not text[line : match.start()].strip()))
        above = max(above, end)
    return found


def _list_scalars(documents: Sequence[YamlDocument]) -> list[tuple[int, int]]:
    """Return where scalars and aliases begin and end, in order."""
    return sorted((node.start, node.end) for document in documents for node in document.root.walk() if node.parts is None)


def attach_comments(text: str, documents: Sequence[YamlDocument]) -> None:
    """Attach the comments and blank lines of *text* to *documents*."""
    comments = find_comments(text, documents)
    ends = [*(document.start for document in documents[1:]), len(text)]
    for document, end in zip(documents, ends, strict=True):
        own = [one for one in comments if document.start <= one.start < end]
        _open_commented(document.root, own)
        _locate_blocks(document.root, text, comments)
        _Attacher(document, text).attach(own)


def _open_commented(node: Node, comments: Sequence[Comment]) -> None:
    """Turn brackets that contain a comment into a block."""
    if node.is_flow and any(node.start < one.start < node.end for one in comments):
        node.is_flow = False
    for part in node.parts or ():
        _open_commented(part.value, comments)


def _locate_blocks(node: Node, text: str, comments: Sequence[Comment]) -> None:
    """Set where each block and its list items begin."""
    hidden = list(text)
    for comment in comments:
        hidden[comment.start : comment.start + len(comment.text)] = " " * len(comment.text)
    bare = "".join(hidden)
    for one in node.walk():
        if one.parts and not one.is_flow:
            _locate_block(one, bare)


def _locate_block(node: Node, bare: str) -> None:
    assert node.parts  # noqa: S101 - a block has a part
    if not node.is_mapping and bare[node.start + len(node.anchor) :].lstrip()[:1] == "-":
        for part in node.parts:
            part.start = bare.rfind("-", 0, max(part.value.start, 1))
    first = node.parts[0].start
    node.column = first - (bare.rfind("\n", 0, first) + 1)


class _Attacher:
    """Attaches the comments of one document."""

    def __init__(self, document: YamlDocument, text: str) -> None:
        self._document = document
        self._text = text
        self._places = list(_list_places(document.root, ()))
        self._starts = [place.part.start for place in self._places]
        # Block scalars whose blank lines are content.
        self._kept = [(node.start, node.end) for node in document.root.walk() if node.style in {"|", ">"} and node.value.endswith("\n\n")]

    def attach(self, comments: Sequence[Comment]) -> None:
        """Attach *comments*, then blank lines, and separate the header."""
        for comment in comments:
            following = bisect.bisect_right(self._starts, comment.start)
            if comment.is_own or not following:
                self._attach_line(comment, following)
            else:
                self._attach_tail(self._places[following - 1].part, comment)
        line = -1
        for place in self._places:
            # Of the parts that begin on one line, such as a list item and its first key, the outermost has the blank line.
            is_first, line = line != (here := self._find_line(place.part.start)), here
            if is_first and self._follows_blank_line(place.part.start):
                place.part.head.append("")
        self._separate_header()

    def _attach_line(self, comment: Comment, following: int) -> None:
        after = self._places[following] if following < len(self._places) else None
        ended = self._find_ended_block(comment, following, after)
        lines = after.part.head if after is not None and (after.part.head or ended is None) else (ended or self._document.root).foot
        if self._follows_blank_line(comment.start):
            lines.append("")
        lines.append(comment.text)

    def _follows_blank_line(self, index: int) -> bool:
        """Return whether the line above that of *index* is blank."""
        line = self._find_line(index)
        above = self._text.rfind("\n", 0, line - 1) + 1
        return line > 0 and not self._text[above:line].strip() and not any(start < above < end for start, end in self._kept)

    def _find_line(self, index: int) -> int:
        """Return where the line of *index* begins."""
        return self._text.rfind("\n", 0, index) + 1

    def _find_ended_block(self, comment: Comment, following: int, after: _Place | None) -> Node | None:
        """Return the innermost block that ends above *comment* and holds it."""
        if not following:
            return None
        around = () if after is None else after.blocks
        ended = [block for block in self._places[following - 1].blocks if all(block is not one for one in around)]
        return next((block for block in reversed(ended) if comment.column >= block.column), None)

    def _attach_tail(self, part: Part, comment: Comment) -> None:
        if part.tail:
            part.head.append(comment.text)
        else:
            part.tail = comment.text

    def _separate_header(self) -> None:
        """Keep the comments at the top there, whichever key is first."""
        if self._places:
            head = self._places[0].part.head
            self._document.header, head[:] = head[:], []


def _list_places(node: Node, blocks: tuple[Node, ...]) -> Iterator[_Place]:
    if node.parts is None or node.is_flow:
        return
    for part in node.parts:
        yield _Place(part, (*blocks, node))
        yield from _list_places(part.value, (*blocks, node))
