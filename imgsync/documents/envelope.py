"""The common parts of all documents: format, text, errors."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgsync.documents.decode import decode_field
from imgsync.errors import UsageError
from imgsync.plan.model import PlanError
from imgsync.text.units import format_bytes

LIMIT_BYTES = 256 << 20
_HEAD_BYTES = 256
_PAGES = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML file"),
    (b"<!-- imgsync-", "a Markdown page"),
    (b"# help ", "a file of metrics"),
)
_JSON_INSTEAD = "give what `imgsync plan --out FILE`, `imgsync apply -o json` or `imgsync verify -o json` wrote"


def read_document(path: str, *, hint: str = "save a plan first: imgsync plan --out FILE") -> dict[str, Any]:
    """
    Return the document in the file *path*.

    *hint* says what to do if there is no such file.

    Raises:
        UsageError: It cannot be read, is not a document, or is truncated.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    if len(data) > LIMIT_BYTES:
        raise UsageError(
            f"{path} is larger than {format_bytes(LIMIT_BYTES)}, as no plan or report is",
            hint="save a large plan in parts: imgsync plan --only MIRROR --out FILE",
        )
    return parse_document(data, name=path)


def parse_document(data: bytes, *, name: str) -> dict[str, Any]:
    """
    Return the document in *data*, read from the file *name*.

    Raises:
        UsageError: It is not a document, or is truncated.
    """
    try:
        document = json.loads(data, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        if page := _recognize_page(data):
            raise UsageError(f"{name} is {page}, not JSON", hint=_JSON_INSTEAD) from error
        raise UsageError(f"{name} is not JSON, or truncated: {error}", hint="make it again: imgsync plan --out FILE") from error
    if not isinstance(document, dict) or not isinstance(document.get("format"), str):
        raise UsageError(f"{name} is not a plan or report of imgsync", hint="make one: imgsync plan --out FILE")
    return document


def _recognize_page(data: bytes) -> str:
    """Return what else imgsync may have written as *data*, "" if nothing."""
    head = data[:_HEAD_BYTES].lstrip().lower()
    return next((page for begin, page in _PAGES if head.startswith(begin)), "")


def check_format(document: Mapping[str, Any], expected: str, *, name: str, hint: str = "name a plan saved by `imgsync plan --out FILE`") -> None:
    """
    Return if *document* has the *expected* format.

    *hint* says what to give instead of a document of another kind.

    Raises:
        UsageError: It has no format, another one, or another version.
    """
    found = document.get("format") if isinstance(document, Mapping) else None
    if not isinstance(found, str):
        raise UsageError(f"{name} is not a document of imgsync")
    if found == expected:
        return
    kind = expected.partition("/")[0]
    if found.startswith(f"{kind}/"):
        raise UsageError(
            f"{name} has another version, {found}; this imgsync reads {expected}", hint="use the version of imgsync that made it, or make it again"
        )
    raise UsageError(f"{name} is {found}, not {expected}", hint=hint)


@contextlib.contextmanager
def name_damage(what: str, *, name: str, hint: str = "") -> Iterator[None]:
    """
    Turn a ValueError within the block into a UsageError.

    Raises:
        UsageError: A field is missing, or has the wrong type.
    """
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{name} is damaged: not a complete {what} ({error})", hint=hint) from error


def encode_errors(errors: Sequence[PlanError]) -> list[dict[str, Any]]:
    """Return *errors* as JSON values."""
    return [
        {
            "mirror": error.mirror,
            "reference": error.reference,
            "message": append_hint(error.message, error.hint),
            **({"hint": error.hint} if error.hint else {}),
            **({"later": True} if error.later else {}),
            **({"planned": True} if error.planned else {}),
        }
        for error in errors
    ]


def decode_errors(document: Mapping[str, Any]) -> tuple[PlanError, ...]:
    """
    Return the errors in *document*.

    Raises:
        ValueError: They are malformed.
    """
    found: tuple[PlanError, ...] = decode_field(document, "errors", tuple[PlanError, ...])
    return tuple(replace(error, message=remove_hint(error.message, error.hint)) if error.hint else error for error in found)


def append_hint(message: str, hint: str) -> str:
    """Return *message* followed by the hint in brackets."""
    return f"{message} ({hint})" if hint else message


def remove_hint(message: str, hint: str) -> str:
    """Return *message* without the hint that `append_hint` added."""
    return message.removesuffix(f" ({hint})") if hint else message


def _reject_constant(constant: str) -> None:
    raise ValueError(f"JSON does not allow {constant}")
