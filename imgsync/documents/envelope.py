"""What all documents have in common: how they are written, and what is wrong with one that cannot be read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imgsync.documents.decode import decode_field
from imgsync.errors import UsageError
from imgsync.plan.model import PlanError
from imgsync.text.sanitize import sanitize_json

_LIMIT_BYTES = 256 << 20


def to_json(document: object, *, indented: bool) -> str:
    """Return *document* as JSON without a trailing newline, indented for people or compact for pipes; no CI runner finds a command in it."""
    text = json.dumps(document, indent=2 if indented else None, separators=None if indented else (",", ":"), ensure_ascii=False)
    # Half a surrogate pair, as a file name that is no UTF-8 has, can be written as an escape alone.
    return sanitize_json(text.encode(errors="backslashreplace").decode())


def read_document(path: str) -> dict[str, Any]:
    """
    Return the document in the file *path*.

    Raises:
        UsageError: It cannot be read, holds none, or is cut short.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="save a plan first: imgsync plan --out FILE") from error
    if len(data) > _LIMIT_BYTES:
        raise UsageError(f"{path} is larger than any plan or report")
    return parse_document(data, name=path)


def parse_document(data: bytes, *, name: str) -> dict[str, Any]:
    """
    Return the document in *data*, which came from the file *name*.

    Raises:
        UsageError: It is none, or cut short.
    """
    try:
        document = json.loads(data, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is no JSON, or cut short: {error}", hint="make it again, with `imgsync plan --out FILE`") from error
    if not isinstance(document, dict) or not isinstance(document.get("format"), str):
        raise UsageError(f"{name} is no plan or report of imgsync", hint="make one with `imgsync plan --out FILE`")
    return document


def check_format(document: Mapping[str, Any], wanted: str, *, name: str) -> None:
    """
    Return when *document* is of the format *wanted*, such as imgsync.plan/v1.

    Raises:
        UsageError: It is something else, or of a later version.
    """
    found = str(document["format"])
    if found == wanted:
        return
    kind = wanted.partition("/")[0]
    if found.startswith(f"{kind}/"):
        raise UsageError(f"{name} is of another version, {found}; this imgsync reads {wanted}", hint="use the imgsync that made it, or make it again")
    raise UsageError(f"{name} is {found}, where {wanted} is wanted", hint="name a plan that `imgsync plan --out FILE` saved")


@contextlib.contextmanager
def name_damage(what: str, *, name: str, hint: str = "") -> Iterator[None]:
    """
    Read the fields of *what*, such as a plan, from the file *name* in here.

    Raises:
        UsageError: A field is missing, or of the wrong kind.
    """
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{name} is damaged: it is no whole {what} ({error})", hint=hint) from error


def encode_errors(errors: Sequence[PlanError]) -> list[dict[str, Any]]:
    """Return what could not be planned as documents have it."""
    return [
        {"mirror": error.mirror, "reference": error.reference, "message": append_hint(error.message, error.hint), **({"later": True} if error.later else {})}
        for error in errors
    ]


def decode_errors(document: Mapping[str, Any]) -> tuple[PlanError, ...]:
    """
    Return what could not be planned, as *document* tells.

    Raises:
        ValueError: It does not.
    """
    found: tuple[PlanError, ...] = decode_field(document, "errors", tuple[PlanError, ...])
    return found


def append_hint(message: str, hint: str) -> str:
    """Return *message*, a hint in brackets behind it."""
    return f"{message} ({hint})" if hint else message


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
