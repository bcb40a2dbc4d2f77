"""Read fields of a payload, whatever it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imgsync.errors import UnsupportedContentError
from imgsync.oci.spec.bounded_json import count_values
from imgsync.oci.spec.reference import is_tag
from imgsync.oci.spec.strict_json import parse_object
from imgsync.serve.events.model import Change

# A push with 2,000 commits, the most that GitHub sends, has fewer.
_VALUE_LIMIT = 50_000


def parse_payload(body: bytes) -> dict[str, Any]:
    """
    Return the JSON object of *body*.

    Raises:
        UnsupportedContentError: It is not an object, has more than 50,000 values, is nested too deep, or is ambiguous.
    """
    if count_values(body) > _VALUE_LIMIT:
        raise UnsupportedContentError(f"the event has more than {_VALUE_LIMIT:,} values")
    return parse_object(body, what="event")


def get_object(entry: object, *path: str) -> dict[str, Any]:
    """Return the object at *path*; an empty one if there is none."""
    for name in path:
        entry = entry.get(name) if isinstance(entry, dict) else None
    return entry if isinstance(entry, dict) else {}


def get_text(entry: object, *path: str) -> str:
    """Return the text at *path*; "" if there is none."""
    *outer, name = path
    text = get_object(entry, *outer).get(name)
    return text if isinstance(text, str) else ""


def list_objects(entry: object) -> Iterator[dict[str, Any]]:
    """Yield each object of a list."""
    if isinstance(entry, list):
        yield from (one for one in entry if isinstance(one, dict))


def list_pushed(repository: str, tag: str) -> Iterator[Change]:
    """Yield the change of a pushed *tag*, unless it is a digest."""
    if is_tag(tag):
        yield Change(repository, tag)
