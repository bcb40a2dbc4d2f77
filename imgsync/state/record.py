"""One record: what was pushed to one destination reference, with a check of its own against bit rot."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from sys import intern

from imgsync.oci.digest import is_digest

VERSION = 1


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


_TEXTS = tuple(field.name for field in fields(Record) if field.name not in {"destination", "size_bytes"})


def encode(record: Record) -> str:
    """Return *record* as the JSON text that is stored under its destination."""
    document = asdict(record) | {"v": VERSION}
    del document["destination"]
    document["check"] = _check(record.destination, document)
    return json.dumps(document, separators=(",", ":"), sort_keys=True)


def decode(destination: str, text: object) -> Record | None:
    """Return the record stored as *text* under *destination*; None when it is damaged, foreign, or of another version."""
    if not isinstance(text, str):
        return None
    try:
        document = json.loads(text)
        check = document.pop("check")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if document.get("v") != VERSION or check != _check(destination, document) or not _is_shaped(document):
        return None
    size = document["size_bytes"]
    return Record(destination=destination, size_bytes=size, **{name: _shared(name, document[name]) for name in _TEXTS})


def _is_shaped(document: dict[str, object]) -> bool:
    texts = all(isinstance(document.get(name), str) for name in _TEXTS)
    return texts and type(document.get("size_bytes")) is int and is_digest(str(document["digest"])) and is_digest(str(document["source_digest"]))


def _shared(name: str, text: str) -> str:
    # Twenty thousand records say the same few things here: keep each once.
    return intern(text) if name in {"media_type", "selection", "applied_at"} else text


def _check(destination: str, document: dict[str, object]) -> str:
    text = json.dumps([destination, document], separators=(",", ":"), sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
