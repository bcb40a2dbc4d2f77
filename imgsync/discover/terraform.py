"""
Find the images in Terraform's files, with python-hcl2.

Variables and locals have the defaults of the same file. No module is followed, and nothing is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from imgsync.config.document import Path, format_path
from imgsync.discover.model import FoundImage, SkippedInput
from imgsync.discover.names import read_name
from imgsync.discover.shapes import Mention, TooDeepError, find_in_value
from imgsync.text.extras import format_extra_hint

if TYPE_CHECKING:
    from lark import Tree

_SIZE_LIMIT = 256 << 10
# The library looks for the end of a text block in time that grows with the square of blank lines.
_BLANK = re.compile(r"\s{500}")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_HEREDOC = re.compile(r"<<(?P<indented>-?)(?P<word>[^\r\n]+)\r?\n(?P<text>.*)\n[ \t]*(?P=word)\s*", re.DOTALL)
_NUMBERS = frozenset({"int_lit", "float_lit"})
_WITHOUT_TEXT = frozenset({"", "identifier", "new_line_or_comment", "binary_operator"})
_WRAPPERS = frozenset({"expr_term", "arguments", "function_call"})
# Resources of the Docker provider, whose name is an image.
_NAMED_AS_IMAGES = ("resource.docker_image.", "data.docker_registry_image.")


def find_in_terraform(data: bytes, *, file: str) -> Iterator[FoundImage | SkippedInput]:
    """Yield the images in *data*, a file of Terraform."""
    if len(data) > _SIZE_LIMIT:
        yield SkippedInput(file, 0, f"it is larger than {_SIZE_LIMIT >> 10} KiB", "split it")
        return
    try:
        import hcl2  # noqa: PLC0415 - an extra, needed for these files alone
        from lark.exceptions import LarkError  # noqa: PLC0415
    except ImportError:
        yield SkippedInput(file, 0, "files of Terraform need a library that is not installed", format_extra_hint("terraform"))
        return
    text = data.decode("utf-8-sig", "replace")
    if _BLANK.search(text) is not None:
        yield SkippedInput(file, 0, "it has a very long blank part", "format it with `terraform fmt`")
        return
    try:
        module = _Module(hcl2.parses_to_tree(text), text)
        mentions = list(module.find())
    except LarkError as error:
        yield SkippedInput(file, max(0, getattr(error, "line", 0)), "it is not valid HCL", "check it with `terraform validate`")
        return
    except (RecursionError, TooDeepError):
        yield SkippedInput(file, 0, "nested too deep")
        return
    for mention in mentions:
        yield mention.name.place(file, module.find_line(mention.path, mention.inner_line), format_path(mention.path))


class _Module:
    """The values of a file of Terraform, and their lines."""

    def __init__(self, tree: Tree[Any], text: str) -> None:
        self._text = text
        self._lines: dict[Path, int] = {}
        self._known: dict[str, str] = {}
        body = tree.children[0]
        self._value = self._read_body(body, ())
        self._known = dict(_list_known(self._value))
        if self._known:
            self._value = self._read_body(body, ())

    def find(self) -> Iterator[Mention]:
        for key, value in self._value.items():
            if key.startswith(_NAMED_AS_IMAGES) and isinstance(value, dict) and isinstance(value.get("name"), str):
                yield Mention((key, "name"), read_name(value["name"]))
            yield from find_in_value(value, (key,))

    def find_line(self, path: Path, inner_line: int) -> int:
        return next((self._lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self._lines), 1) + inner_line

    def _read_body(self, body: Tree[Any], path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for child in body.children:
            kind = getattr(child, "data", "")
            if kind == "attribute":
                key = _text_of(child.children[0])
                made[key] = self._read(child.children[-1], (*path, key))
            elif kind == "block":
                labels = [_text_of(one) for one in child.children if getattr(one, "data", "") in {"identifier", "string", "keyword", "literal_value"}]
                inner = next(one for one in child.children if getattr(one, "data", "") == "body")
                key = ".".join(labels)
                if len(labels) > 1:
                    made[key] = self._read_body(inner, (*path, key))
                else:
                    before = made.setdefault(key, [])
                    if isinstance(before, list):
                        before.append(self._read_body(inner, (*path, key, len(before))))
        return made

    def _read(self, node: Any, path: Path) -> Any:
        """Return the value of an expression, or those of its parts."""
        kind = getattr(node, "data", "")
        readers = {
            "string": self._read_string,
            "heredoc_template": self._read_heredoc,
            "heredoc_template_trim": self._read_heredoc,
            "object": self._read_object,
            "get_attr_expr_term": self._read_name,
        }
        if kind in readers:
            return readers[kind](node, path)
        if kind in _NUMBERS or not kind:
            return _text_of(node) if kind else None
        # What a condition asks is not a value of the field.
        children = node.children[1:] if kind == "conditional" else node.children
        below = [child for child in children if getattr(child, "data", "") not in _WITHOUT_TEXT]
        if kind in _WRAPPERS and len(below) == 1:
            return self._read(below[0], path)
        return [self._read(child, (*path, index)) for index, child in enumerate(below)]

    def _read_heredoc(self, node: Tree[Any], path: Path) -> str:
        self._lines[path] = node.meta.line
        found = _HEREDOC.match(str(node.children[0]))
        return found["text"] if found is not None else ""

    def _read_name(self, node: Tree[Any], path: Path) -> str | None:
        self._lines[path] = node.meta.line
        name = _name_of(node)
        return self._known.get(name, f"${{{name}}}") if name else None

    def _read_object(self, node: Tree[Any], path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for element in node.children:
            if getattr(element, "data", "") == "object_elem":
                key = _text_of(element.children[0])
                made[key] = self._read(element.children[-1], (*path, key))
        return made

    def _read_string(self, node: Tree[Any], path: Path) -> str:
        self._lines[path] = node.meta.line
        made = ""
        for part in node.children[1:-1]:
            inner = part.children[0]
            if getattr(inner, "data", "") == "interpolation":
                name = _name_of(inner.children[1])
                made += self._known.get(name, self._text[inner.meta.start_pos : inner.meta.end_pos])
            else:
                made += _ESCAPED.sub(lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), str(getattr(inner, "value", "")))
        return made


def _list_known(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of variables with defaults, and of locals."""
    for key, body in value.items():
        if key.startswith("variable.") and isinstance(body, dict) and isinstance(body.get("default"), str):
            yield f"var.{key.removeprefix('variable.')}", body["default"]
        for block in body if key == "locals" and isinstance(body, list) else ():
            yield from ((f"local.{name}", text) for name, text in block.items() if isinstance(text, str) and "${" not in text)


def _name_of(node: Any) -> str:
    """Return `var.x` or `local.x` if *node* is one, "" otherwise."""
    name = "".join(str(token) for token in node.scan_values(lambda _: True)) if hasattr(node, "scan_values") else ""
    return name if re.fullmatch(r"(?:var|local)\.[A-Za-z0-9_-]{1,80}", name) else ""


def _text_of(node: Any) -> str:
    """Return the text of a name or a label, without quotes."""
    return "".join(str(token) for token in node.scan_values(lambda _: True)).strip().strip('"') if hasattr(node, "scan_values") else str(node)
