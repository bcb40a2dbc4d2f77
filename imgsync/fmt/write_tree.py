"""Write a tree in the one layout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from imgsync.fmt.tree import Node, Part, YamlDocument

WIDTH = 120
_STEP = 2
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_DIGIT = re.compile(r"[1-9]")
# Settings whose text is a tag or matches tags. Without quotes, 3.10 would be the number 3.1.
_TAG_SETTINGS = {"names", "immutable", "protect", "except", "tag"}
_TAG_FILTERS = {"include", "exclude"}


def write_documents(documents: Sequence[YamlDocument]) -> str:
    """Return the text of *documents*."""
    return "---\n".join("".join(f"{line}\n" for line in _write_document(document)) for document in documents)


def _write_document(document: YamlDocument) -> Iterable[str]:
    document.root.is_flow = False
    for part in document.root.parts or ():
        # The list of mirrors is long, whether or not it fits a line yet.
        part.value.is_flow = part.value.is_flow and (part.value.is_mapping or not part.value.parts)
    return [*_strip_blank(_squeeze(document.header)), *_write_block(document.root, 0, ())]


def _squeeze(lines: Iterable[str]) -> list[str]:
    """Return *lines* with one blank line at most at a time."""
    kept: list[str] = []
    for line in lines:
        if line or not kept or kept[-1]:
            kept.append(line)
    return kept


def _write_block(node: Node, indent: int, path: tuple[str, ...]) -> list[str]:
    """Return the lines of a block, indented by *indent*."""
    lines: list[str] = []
    for number, part in enumerate(node.parts or ()):
        head = _squeeze(part.head)
        # A blank line at the start of a block separates nothing.
        lines += _indent(head if number or node.anchor else _strip_blank(head), indent)
        lines += _write_part(part, indent, (*path, part.name))
    return lines + _indent(_squeeze(node.foot), indent)


def _strip_blank(lines: list[str]) -> list[str]:
    return [line for number, line in enumerate(lines) if line or any(lines[:number])]


def _indent(lines: Iterable[str], indent: int) -> list[str]:
    return [f"{' ' * indent}{line}" if line else "" for line in lines]


def _write_part(part: Part, indent: int, path: tuple[str, ...]) -> list[str]:
    mark = f"{' ' * indent}{'- ' if part.key is None else f'{_write_key(part.key)}: '}"
    value = part.value
    inline = _write_inline(value, path)
    if inline is not None and len(mark) + len(inline) <= WIDTH:
        lines = [f"{mark}{inline}".rstrip()]
    elif value.parts is None:
        lines = _write_long_scalar(value, mark, indent, path)
    else:
        return _write_nested(part, mark, indent, path)
    # The header of a block scalar may have a comment; the other texts of several lines, only their end.
    lines[0 if value.style in {"|", ">"} else -1] += f"  {part.tail}" if part.tail else ""
    return lines


def _write_nested(part: Part, mark: str, indent: int, path: tuple[str, ...]) -> list[str]:
    value = part.value
    if part.key is None and not value.anchor and not part.tail:
        # The first line of the block goes beside the dash, and the comments above it go above the dash.
        first = value.parts[0] if value.parts else part
        above, first.head = _strip_blank(_squeeze(first.head)), []
        inner = _write_block(value, indent + _STEP, path)
        return [*_indent(above, indent), f"{mark}{inner[0][indent + _STEP :]}", *inner[1:]]
    line = f"{mark}{value.anchor}".rstrip() + (f"  {part.tail}" if part.tail else "")
    return [line, *_write_block(value, indent + _STEP, path)]


def _write_inline(node: Node, path: tuple[str, ...]) -> str | None:
    """Return *node* on one line, None if it needs several."""
    if node.parts is None:
        text = _write_scalar(node, path)
        return None if "\n" in text else text
    if node.parts and not node.is_flow:
        return None
    pieces: list[str] = []
    for part in node.parts:
        value = _write_inline(part.value, (*path, part.name))
        if value is None:
            return None
        pieces.append(value if part.key is None else f"{_write_key(part.key)}: {value}".rstrip())
    text = f"{{{', '.join(pieces)}}}" if node.is_mapping else f"[{', '.join(pieces)}]"
    return f"{node.anchor} {text}".lstrip()


def _write_scalar(node: Node, path: tuple[str, ...]) -> str:
    text = node.text
    is_plain_text = not re.search(r'["\\\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff]', node.value)
    if (node.style == "'" or (not node.style and node.value and node.value == text and _is_tag(path))) and is_plain_text:
        text = f'"{node.value}"'
    return f"{node.anchor} {text}" if node.anchor else text


def _is_tag(path: tuple[str, ...]) -> bool:
    names = [name for name in path if name]
    return names[-1:] != [] and (names[-1] in _TAG_SETTINGS or (names[-1] in _TAG_FILTERS and names[-2:-1] == ["tags"]))


def _write_key(node: Node) -> str:
    if node.text.startswith("*") and not node.style:
        # In YAML 1.2 the colon would be part of the alias's name.
        return f"{node.text} "
    return node.value if _PLAIN_KEY.fullmatch(node.value) and not node.anchor else f"{node.anchor} {node.text}".lstrip()


def _write_long_scalar(node: Node, mark: str, indent: int, path: tuple[str, ...]) -> list[str]:
    """Return the lines of a long or multi-line scalar."""
    first, *others = _write_scalar(node, path).split("\n")
    inner = " " * (indent + _STEP)
    if node.style in {"|", ">"}:
        shift = _find_content_indent(first, others, node)
        head = _DIGIT.sub(str(_STEP), first, count=1) if _has_digit(first) else first
        return [f"{mark}{head}", *(f"{inner}{line[shift:]}".rstrip("\n") if line.strip(" ") else line[shift:] for line in others)]
    return [f"{mark}{first}".rstrip(), *(f"{inner}{line.strip(' ')}".rstrip(" ") for line in others)]


def _has_digit(header: str) -> bool:
    return _DIGIT.search(header.partition("#")[0]) is not None


def _find_content_indent(header: str, lines: Iterable[str], node: Node) -> int:
    """Return how far the content of a block scalar is indented."""
    if _has_digit(header):
        # Relative to what is around it, so the content says it: the value begins with the spaces beyond.
        beyond = len(node.value.lstrip("\n")) - len(node.value.lstrip("\n").lstrip(" "))
        first = next((line for line in lines if line.strip(" ")), "")
        return len(first) - len(first.lstrip(" ")) - beyond
    return min((len(line) - len(line.lstrip(" ")) for line in lines if line.strip(" ")), default=0)
