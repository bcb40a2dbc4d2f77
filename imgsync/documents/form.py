"""What all documents have in common: how they are written, and what is wrong with one that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from imgsync.errors import UsageError
from imgsync.plan.model import PlanError

_LIMIT_BYTES = 256 << 20


def to_json(document: object, *, indented: bool) -> str:
    """Return *document* as JSON without a trailing newline, indented for people or compact for pipes."""
    return json.dumps(document, indent=2 if indented else None, separators=None if indented else (",", ":"), ensure_ascii=False)


def from_json(data: bytes, *, name: str) -> dict[str, Any]:
    """
    Return the document in *data*, which came from the file *name*.

    Raises:
        UsageError: It is none, or cut short.
    """
    if len(data) > _LIMIT_BYTES:
        raise UsageError(f"{name} is larger than any plan or report")
    try:
        document = json.loads(data)
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
    raise UsageError(f"{name} is {found}, where {wanted} is wanted")


def errors_document(errors: Sequence[PlanError]) -> list[dict[str, Any]]:
    """Return what could not be planned as documents have it."""
    return [
        {"mirror": error.mirror, "reference": error.reference, "message": with_hint(error.message, error.hint), **({"later": True} if error.later else {})}
        for error in errors
    ]


def errors_of(document: Mapping[str, Any]) -> tuple[PlanError, ...]:
    """Return what could not be planned, as *document* tells."""
    return tuple(
        PlanError(str(error["mirror"]), str(error["reference"]), str(error["message"]), later=error.get("later") is True) for error in document["errors"]
    )


def with_hint(message: str, hint: str) -> str:
    """Return *message*, a hint in brackets behind it."""
    return f"{message} ({hint})" if hint else message
