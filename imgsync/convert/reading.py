"""
Another tool's file, piece by piece, each of which knows its place.

Values are taken as those tools take them (a tag may be written `3.9`), and what has the wrong type or an unknown name is noted as a fault.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as File
from typing import Any

from imgsync.config.yaml_reader import Document, Path, format_path, parse_documents
from imgsync.convert.model import Remark
from imgsync.errors import ConfigError, FileError


@dataclass(slots=True)
class Notes:
    """What was noticed so far: faults end the conversion, remarks go along with it."""

    faults: list[FileError] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the file: its value, where it stands, and where to note what is odd about it."""

    document: Document
    path: Path
    value: Any
    notes: Notes

    def get(self, name: str) -> Piece | None:
        """Return the piece under *name*; None when it is missing or null."""
        value = self.value.get(name) if isinstance(self.value, dict) else None
        return None if value is None else Piece(self.document, (*self.path, name), value, self.notes)

    def need(self, name: str) -> Piece | None:
        """Return the piece under *name*, noting a fault when there is none."""
        found = self.get(name)
        if found is None and isinstance(self.value, dict):
            self.fault(f"'{name}' must be given")
        return found

    def entries(self) -> list[tuple[str, Piece]]:
        """Return the pieces of a mapping by name, null ones too."""
        if not isinstance(self.value, dict):
            self.fault("a mapping is wanted here")
            return []
        return [(name, Piece(self.document, (*self.path, name), value, self.notes)) for name, value in self.value.items()]

    def items(self) -> list[Piece]:
        """Return the pieces of a list."""
        if not isinstance(self.value, list):
            self.fault("a list is wanted here")
            return []
        return [Piece(self.document, (*self.path, index), value, self.notes) for index, value in enumerate(self.value)]

    def text(self) -> str:
        """Return the text as it was written, also where YAML sees a number in it."""
        if isinstance(self.value, str):
            return self.value
        scalar = self.document.written.get(self.path)
        if scalar is None or not scalar.written:
            self.fault("text is wanted here")
            return ""
        return scalar.written

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of the list under *name*, none when it is missing."""
        found = self.get(name)
        return tuple(item.text() for item in found.items()) if found is not None else ()

    def flag(self, name: str) -> bool | None:
        """Return true or false as given under *name*, None when it is missing."""
        found = self.get(name)
        if found is None:
            return None
        if not isinstance(found.value, bool):
            found.fault("true or false is wanted here")
            return None
        return found.value

    def number(self) -> int:
        """Return a whole number."""
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            self.fault("a whole number is wanted here")
            return 0
        return self.value

    def knows(self, names: Iterable[str], *, extensions: bool = False) -> None:
        """Note a fault for each key that is none of *names*; with *extensions* those that begin with `x-` are left alone."""
        known = list(names)
        for name, piece in self.entries():
            if name in known or (extensions and name.startswith("x-")):
                continue
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known)}"
            self.notes.faults.append(self.document.error(piece.path, "unknown key", hint=hint, at_key=True))

    def tell(self, table: Mapping[str, tuple[bool, str]]) -> None:
        """Remark on each key of *table* that is given and not false; an entry says whether it is lost, and what to know."""
        for name, (lost, message) in table.items():
            found = self.get(name)
            if found is not None and found.value is not False:
                found.remark(message, lost=lost, at_key=True)

    def lost(self, message: str, *, hint: str = "") -> None:
        """Remark that what stands here is not carried over, or not as it was meant."""
        self.remark(message, hint=hint, lost=True)

    def note(self, message: str, *, hint: str = "") -> None:
        """Remark on something that is good to know, and changes nothing."""
        self.remark(message, hint=hint, lost=False)

    def fault(self, message: str, *, hint: str = "") -> None:
        """Note a fault: there is no converting this file."""
        self.notes.faults.append(self.document.error(self.path, message, hint=hint))

    @property
    def line(self) -> int:
        """Return the line this stands at."""
        return self.document.error(self.path, "").line

    def remark(self, message: str, *, hint: str = "", lost: bool, at_key: bool = False) -> None:
        """Remark on what stands here, or on its key."""
        placed = self.document.error(self.path, message, hint=hint, at_key=at_key)
        self.notes.remarks.append(Remark(placed.file, placed.line, placed.column, format_path(self.path), message, hint, lost))


def read_peer(file: str, notes: Notes) -> Piece:
    """
    Return the one document that *file* holds, YAML or JSON.

    Raises:
        ConfigError: It cannot be read, is neither, or holds several documents.
    """
    try:
        data = File(file).read_bytes()
    except OSError as error:
        raise ConfigError((FileError(file, 1, 1, "", f"cannot be read: {error.strerror}"),)) from error
    documents, faults = parse_documents(_without_tabs(data), file=file)
    if len(documents) > 1 and not faults:
        faults.append(FileError(file, documents[1].places[()][0], 1, "", "the file holds several documents", "put each into a file of its own"))
    if not faults and not isinstance(documents[0].value, dict):
        faults.append(documents[0].error((), "a mapping is wanted here"))
    if faults:
        # The hint of an empty file would send people to our own format.
        raise ConfigError(tuple(replace(one, hint="") if one.message == "the file is empty" else one for one in faults))
    return Piece(documents[0], (), documents[0].value, notes)


def _without_tabs(data: bytes) -> bytes:
    """Return JSON with a space for each tab, which may indent it and cannot stand inside its texts; YAML as it is."""
    if b"\t" not in data:
        return data
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return data
    return data.replace(b"\t", b" ")
