"""
Parse YAML into plain values with their line and column.

Stricter than PyYAML: no duplicate keys, no tags, limited size. Values are built from nodes that are counted before. Aliases and merge keys
expand within the limits.
"""

from __future__ import annotations

import pathlib
from datetime import date
from typing import Any

import yaml

from imgsync.config.document import Document, Path, Place, Scalar, cut_before_secret, format_path
from imgsync.config.yaml_nodes import SPLIT_HINT, InvalidYamlError, YamlLimits, YamlNode, decode_text, parse_nodes
from imgsync.errors import FileError
from imgsync.text.sanitize import sanitize_message

_RESOLVER: Any = yaml.resolver.Resolver()
_KINDS = {"int": "number", "float": "number", "bool": "boolean", "null": "null", "timestamp": "date"}
_OWN_LIMITS = YamlLimits()


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
        for root in parse_nodes(_decode(data, limits), limits):
            document = Document(file, None)
            document.value = _Builder(document, errors, limits).build(root, (), 0)
            documents.append(document)
    except InvalidYamlError as error:
        errors.append(FileError(file, error.place[0], error.place[1], "", error.message, error.hint))
    if not documents and not errors:
        errors.append(FileError(file, 1, 1, "", "the file is empty", "begin with `version: 1`"))
    return documents, errors


def _decode(data: bytes, limits: YamlLimits) -> str:
    if len(data) > limits.size_bytes:
        raise InvalidYamlError((1, 1), f"the file is larger than {limits.size_bytes >> 20} MiB", SPLIT_HINT)
    text = decode_text(data)
    for number, line_text in enumerate(text.splitlines(), 1):
        indent = line_text[: len(line_text) - len(line_text.lstrip())]
        if "\t" in indent and line_text.strip():
            raise InvalidYamlError((number, indent.index("\t") + 1), "tab in the indentation", "indent with spaces")
    return text


class _Builder:
    """Builds values from nodes; expands aliases and merge keys."""

    def __init__(self, document: Document, errors: list[FileError], limits: YamlLimits) -> None:
        self._limits = limits
        self._document = document
        self._errors = errors
        self._count = 0

    def build(self, node: YamlNode, path: Path, depth: int) -> Any:
        self._count += 1
        if self._count > self._limits.values or depth > self._limits.depth:
            raise InvalidYamlError(node.place, self._limits.too_much, "write the values out")
        self._document.places[path] = node.place
        if node.kind == "scalar":
            return self._build_scalar(node, path)
        if node.kind == "list":
            return [self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.items)]
        return self._build_mapping(node, path, depth)

    def _build_scalar(self, node: YamlNode, path: Path) -> Any:
        if not node.plain:
            return node.text
        kind = _RESOLVER.resolve(yaml.ScalarNode, node.text, (True, False)).rpartition(":")[2]
        if kind in _KINDS:
            self._document.written[path] = Scalar(node.text, _KINDS[kind])
        return _convert(node.text, kind)

    def _build_mapping(self, node: YamlNode, path: Path, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        first: dict[str, Place] = {}
        merged: list[YamlNode] = []
        for key, value in zip(node.items[::2], node.items[1::2], strict=True):
            if key.kind != "scalar":
                raise InvalidYamlError(key.place, "a key must be text", "put a value that begins with '{' in quotes")
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

    def _merge(self, source: YamlNode, made: dict[str, Any], path: Path, depth: int) -> None:
        """Add the keys of *source* that are missing in *made*."""
        self._count += 1
        if self._count > self._limits.values or depth > self._limits.depth:
            raise InvalidYamlError(source.place, self._limits.too_much, "write the values out")
        if source.kind != "map":
            raise InvalidYamlError(source.place, "'<<' can only merge mappings")
        further: list[YamlNode] = []
        for key, value in zip(source.items[::2], source.items[1::2], strict=True):
            if key.kind != "scalar":
                raise InvalidYamlError(key.place, "a key must be text")
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
