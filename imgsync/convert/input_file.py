"""
Read another tool's file into nodes with places.

Values are read as those tools read them: a tag may be written `3.9`, and unknown keys are skipped. A wrong type is an error.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, NamedTuple

from imgsync.config.document import Document, Path, format_path
from imgsync.config.yaml_nodes import YamlLimits
from imgsync.config.yaml_reader import parse_documents, read_limited
from imgsync.convert.conversion import Remark
from imgsync.errors import ConfigError, FileError
from imgsync.system.dataclass import dataclass

# Generated files of other tools exceed the limits of imgsync's own.
_LIMITS = YamlLimits(size_bytes=8 << 20, values=500_000)


@dataclass(slots=True)
class Diagnostics:
    """The errors and remarks of a conversion from `tool`."""

    tool: str = "the other tool"
    errors: list[FileError] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


class KeyRemark(NamedTuple):
    """A remark on a key, if present."""

    message: str
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A part of the file, with its value and place."""

    document: Document
    path: Path
    value: Any
    diagnostics: Diagnostics

    @property
    def line(self) -> int:
        """The line of this node, from 1."""
        return self.document.error(self.path, "").line

    def get(self, name: str) -> Node | None:
        """Return the node at *name*, None if missing or null."""
        value = self.value.get(name) if isinstance(self.value, dict) else None
        return None if value is None else self._child(name, value)

    def require(self, name: str) -> Node | None:
        """Return the node at *name*; report an error if missing."""
        found = self.get(name)
        if found is None and isinstance(self.value, dict):
            self.report_error(f"'{name}' is required")
        return found

    def read_entries(self) -> list[tuple[str, Node]]:
        """Return the entries of a mapping, including null values."""
        if not isinstance(self.value, dict):
            self.report_error("expected a mapping")
            return []
        return [(name, self._child(name, value)) for name, value in self.value.items()]

    def read_items(self) -> list[Node]:
        """Return the nodes of a list."""
        if not isinstance(self.value, list):
            self.report_error("expected a list")
            return []
        return [self._child(index, value) for index, value in enumerate(self.value)]

    def read_text(self) -> str:
        """Return the text as written, numbers too."""
        if isinstance(self.value, str):
            return self.value
        scalar = self.document.written.get(self.path)
        if scalar is None or not scalar.written:
            self.report_error("expected text")
            return ""
        return scalar.written

    def read_texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of the list at *name*."""
        found = self.get(name)
        return tuple(item.read_text() for item in found.read_items()) if found is not None else ()

    def read_bool(self, name: str) -> bool | None:
        """Return the boolean at *name*, None if missing."""
        found = self.get(name)
        if found is None:
            return None
        if not isinstance(found.value, bool):
            found.report_error("expected true or false")
            return None
        return found.value

    def read_int(self) -> int:
        """Return a whole number."""
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            self.report_error("expected a whole number")
            return 0
        return self.value

    def check_keys(self, names: Iterable[str]) -> None:
        """Remark each unknown key that does not start with `x-`."""
        known = list(names)
        for name, node in self.read_entries():
            if name in known or name.startswith("x-"):
                continue
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"did you mean '{close[0]}'?" if close else ""
            node.add_remark(f"unknown key, which {self.diagnostics.tool} ignores", hint=hint, lost=False, at_key=True)

    def remark_keys(self, remarks: Mapping[str, KeyRemark]) -> None:
        """Add the remark of each key that is set."""
        for name, remark in remarks.items():
            found = self.get(name)
            if found is not None and found.value is not False:
                found.add_remark(remark.message, lost=remark.lost, at_key=True)

    def add_remark(self, message: str, *, hint: str = "", lost: bool, at_key: bool = False) -> None:
        """Add a remark on this node, or on its key."""
        place = self.document.error(self.path, message, hint=hint, at_key=at_key)
        self.diagnostics.remarks.append(Remark(place.file, place.line, place.column, format_path(self.path), message, hint, lost))

    def report_lost(self, message: str, *, hint: str = "") -> None:
        """Remark that this node is lost or changes meaning."""
        self.add_remark(message, hint=hint, lost=True)

    def report_note(self, message: str, *, hint: str = "") -> None:
        """Remark something that does not change the result."""
        self.add_remark(message, hint=hint, lost=False)

    def report_error(self, message: str, *, hint: str = "") -> None:
        """Report an error, which ends the conversion."""
        self.diagnostics.errors.append(self.document.error(self.path, message, hint=hint))

    def _child(self, key: str | int, value: Any) -> Node:
        return Node(self.document, (*self.path, key), value, self.diagnostics)


def read_input_file(file: str, diagnostics: Diagnostics) -> Node:
    """
    Read the first document of *file*, YAML or JSON; "-" is stdin.

    Raises:
        ConfigError: The file cannot be read, or is not valid.
    """
    name = "<stdin>" if file == "-" else file
    try:
        data = sys.stdin.buffer.read(_LIMITS.size_bytes + 1) if file == "-" else read_limited(file, limits=_LIMITS)
    except OSError as error:
        raise ConfigError((FileError(name, 1, 1, "", f"the file cannot be read: {error.strerror}"),)) from error
    documents, errors = parse_documents(_replace_tabs(data), file=name, limits=_LIMITS)
    if errors:
        # The hint for an empty file is about imgsync's own format.
        raise ConfigError(tuple(one._replace(hint="") if one.message == "the file is empty" else one for one in errors))
    root = Node(documents[0], (), documents[0].value, diagnostics)
    for other in documents[1:]:
        Node(other, (), other.value, diagnostics).report_lost("only the first document of a file is read", hint="put each into its own file")
    return root


def _replace_tabs(data: bytes) -> bytes:
    """Replace tabs by spaces in JSON; return YAML unchanged."""
    # JSON may be indented by tabs, which YAML forbids. Inside JSON strings a tab is always escaped.
    if b"\t" not in data:
        return data
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return data
    return data.replace(b"\t", b" ")
