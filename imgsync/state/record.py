"""What was pushed to one destination reference, with a checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, replace
from sys import intern
from typing import Any

from imgsync.oci.spec.digest import is_digest
from imgsync.system.dataclass import dataclass

VERSION = 1
# The `mirror` of what `imgsync copy` pushed: no declaration can have this name.
BY_HAND = "imgsync copy"
# Stored as the selection of a tainted record; no mirror's settings read like this.
_TAINTED = "in doubt"


@dataclass(frozen=True, slots=True)
class Record:
    """
    The last known content of one destination reference.

    `applied_at` (RFC 3339, UTC) is empty for an adopted tag: it was found at the destination, not pushed, so it is never pruned.
    `mirror` is the mirror to which the tag belongs, `BY_HAND` if none, empty in a record of an earlier version.
    `crc32` is empty and `size_bytes` 0 if the manifest was never read. `selection` identifies the settings that shaped the content.
    """

    destination: str
    digest: str
    crc32: str
    size_bytes: int
    media_type: str
    source: str
    source_digest: str
    selection: str
    applied_at: str
    mirror: str = ""

    @property
    def is_confirmed(self) -> bool:
        """Return whether the destination confirmed this content."""
        return self.selection != _TAINTED

    @property
    def tainted(self) -> Record:
        """The same record, unconfirmed: pushed once, perhaps no longer served."""
        return replace(self, selection=_TAINTED)


# The destination is the key.
_STORED = tuple(field.name for field in fields(Record) if field.name != "destination")
_TEXTS = tuple(name for name in _STORED if name not in {"size_bytes", "mirror"})
# The fields of every version. In a line, the first checksum covers only these, so that earlier versions read it.
_FIRST_FIELDS = (*_TEXTS, "size_bytes", "v", "check")
# Thousands of records share a few values: keep each once in memory.
_SHARED = ("media_type", "selection", "applied_at")
_ENCODER = json.JSONEncoder(separators=(",", ":"), sort_keys=True)
_MIRROR, _MIRROR_CHECK, _SHORT = "mirror", "mirror_check", 8


def encode(record: Record) -> str:
    """Return *record* as the JSON text to store under its destination."""
    return _ENCODER.encode(to_document(record))


def to_document(record: Record) -> dict[str, object]:
    """Return *record* without its destination as JSON, with version and checksum."""
    document: dict[str, object] = {name: getattr(record, name) for name in _STORED} | {"v": VERSION}
    if not record.mirror:
        # As earlier versions wrote it.
        del document[_MIRROR]
    return document | {"check": _checksum(record.destination, document)}


def to_line(record: Record) -> dict[str, object]:
    """Return *record* as a line of an export."""
    line = {"destination": record.destination, **to_document(replace(record, mirror="") if record.mirror else record)}
    return line | {_MIRROR: record.mirror, _MIRROR_CHECK: _check_mirror(record.destination, record.mirror)} if record.mirror else line


def from_line(destination: str, line: Mapping[str, Any]) -> Record | None:
    """Return the record in *line*; None if damaged. Ignore unknown fields."""
    record = from_document(destination, {name: line[name] for name in _FIRST_FIELDS if name in line})
    mirror = line.get(_MIRROR, "")
    if record is None or mirror == "":
        return record
    is_valid = isinstance(mirror, str) and line.get(_MIRROR_CHECK) == _check_mirror(destination, mirror)
    return replace(record, mirror=intern(mirror)) if is_valid else None


def decode(destination: str, text: object) -> Record | None:
    """Decode the record stored under *destination*; None if invalid."""
    if not isinstance(text, str):
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return from_document(destination, document) if isinstance(document, dict) else None


def from_document(destination: str, document: Mapping[str, Any]) -> Record | None:
    """Return the record in *document*; None if damaged or of another version."""
    content = {name: value for name, value in document.items() if name != "check"}
    if document.get("v") != VERSION or document.get("check") != _checksum(destination, content) or not _has_valid_types(content):
        return None
    texts = {name: content[name] for name in _TEXTS} | {name: intern(content[name]) for name in _SHARED}
    return Record(destination=destination, size_bytes=content["size_bytes"], mirror=intern(content.get(_MIRROR, "")), **texts)


def encode_note(key: str, text: str) -> str:
    """Return *text* as it is stored under *key*, with its checksum."""
    return f"{_checksum(key, text)} {text}"


def decode_note(key: str, stored: object) -> str | None:
    """Decode the note stored under *key*; None if invalid."""
    check, _, text = stored.partition(" ") if isinstance(stored, str) else ("", "", "")
    return text if check == _checksum(key, text) else None


def _has_valid_types(document: Mapping[str, object]) -> bool:
    texts = all(isinstance(document.get(name), str) for name in _TEXTS) and isinstance(document.get(_MIRROR, ""), str)
    return texts and type(document.get("size_bytes")) is int and is_digest(str(document["digest"])) and is_digest(str(document["source_digest"]))


def _check_mirror(destination: str, mirror: str) -> str:
    # Short: it guards only a name, and every line has one.
    return _checksum(destination, mirror)[:_SHORT]


def _checksum(key: str, content: object) -> str:
    text = _ENCODER.encode([key, content])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
