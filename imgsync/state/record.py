"""One record: what was pushed to one destination reference, with a check of its own against bit rot."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from sys import intern
from typing import Any

from imgsync.oci.spec.digest import is_digest

VERSION = 1
# The selection of a record that is not to be believed: no mirror has such settings.
_IN_DOUBT = "in doubt"


@dataclass(frozen=True, slots=True)
class Record:
    """
    What is remembered of one destination reference; digests whole, `applied_at` RFC 3339 in UTC.

    `applied_at` is empty for a tag that was adopted: found at the destination, not pushed there, so never pruned. `crc32` is empty and
    `size_bytes` 0 where the manifest was never read. `selection` names the settings that shaped the content.
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

    @property
    def is_sure(self) -> bool:
        """Return whether it tells what the destination serves; False from when a run sets about to change that until it was told that it did."""
        return self.selection != _IN_DOUBT

    @property
    def doubted(self) -> Record:
        """Return the record as one that still tells what was pushed, but no longer what is served."""
        return replace(self, selection=_IN_DOUBT)


# Every field of the JSON form; whoever reads more of them has to leave them out before asking for the check.
FIELDS = frozenset({field.name for field in fields(Record)} - {"destination"} | {"v", "check"})
_TEXTS = tuple(field.name for field in fields(Record) if field.name not in {"destination", "size_bytes"})


def encode(record: Record) -> str:
    """Return *record* as the JSON text that is stored under its destination."""
    return json.dumps(to_document(record), separators=(",", ":"), sort_keys=True)


def to_document(record: Record) -> dict[str, object]:
    """Return all of *record* but its destination as JSON has it, with its version and its check."""
    document: dict[str, object] = asdict(record) | {"v": VERSION}
    del document["destination"]
    return document | {"check": _check(record.destination, document)}


def decode(destination: str, text: object) -> Record | None:
    """Return the record stored as *text* under *destination*; None when it is damaged, foreign, or of another version."""
    if not isinstance(text, str):
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return from_document(destination, document) if isinstance(document, dict) else None


def from_document(destination: str, document: Mapping[str, Any]) -> Record | None:
    """Return the record of *destination* that `to_document` made into *document*; None when it is damaged, foreign, or of another version."""
    checked = {name: value for name, value in document.items() if name != "check"}
    if document.get("v") != VERSION or document.get("check") != _check(destination, checked) or not _is_shaped(checked):
        return None
    return Record(destination=destination, size_bytes=checked["size_bytes"], **{name: _shared(name, checked[name]) for name in _TEXTS})


def encode_note(key: str, text: str) -> str:
    """Return *text* as it is stored under *key*, with a check of its own."""
    return f"{_check(key, text)} {text}"


def decode_note(key: str, stored: object) -> str | None:
    """Return the text that `encode_note` made into *stored*; None when it is damaged, or stood under another key."""
    check, _, text = stored.partition(" ") if isinstance(stored, str) else ("", "", "")
    return text if check == _check(key, text) else None


def _is_shaped(document: Mapping[str, object]) -> bool:
    texts = all(isinstance(document.get(name), str) for name in _TEXTS)
    return texts and type(document.get("size_bytes")) is int and is_digest(str(document["digest"])) and is_digest(str(document["source_digest"]))


def _shared(name: str, text: str) -> str:
    # Twenty thousand records say the same few things here: keep each once.
    return intern(text) if name in {"media_type", "selection", "applied_at"} else text


def _check(key: str, content: object) -> str:
    text = json.dumps([key, content], separators=(",", ":"), sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
