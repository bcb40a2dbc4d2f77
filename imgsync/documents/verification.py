"""imgsync.verification/v1: how it stands with what is declared (design.md §3 `verify`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from imgsync.documents.form import check_format, errors_document, errors_of
from imgsync.errors import UsageError
from imgsync.verification import Condition, Finding, Verification

FORMAT = "imgsync.verification/v1"


def verification_document(found: Verification) -> dict[str, Any]:
    """Return *found* as the fields of imgsync.verification/v1."""
    counts = {condition.value: found.count(condition) for condition in Condition}
    return {
        "format": FORMAT,
        "created_at": found.created_at,
        "summary": {**counts, "drift": len(found.drift), "error": len(found.errors), "bytes_read": found.bytes_read, "seconds": found.seconds},
        "findings": [{**asdict(finding), "condition": finding.condition.value} for finding in found.findings],
        "errors": errors_document(found.errors),
    }


def verification_of(document: Mapping[str, Any], *, name: str) -> Verification:
    """
    Return what *document*, from the file *name*, tells of.

    Raises:
        UsageError: It is none, or damaged.
    """
    check_format(document, FORMAT, name=name)
    try:
        return Verification(
            findings=tuple(_finding(entry) for entry in document["findings"]),
            errors=errors_of(document),
            bytes_read=int(document["summary"]["bytes_read"]),
            created_at=str(document["created_at"]),
            seconds=float(document["summary"]["seconds"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{name} is damaged: it is no whole verification ({type(error).__name__}: {error})") from error


def _finding(entry: Mapping[str, Any]) -> Finding:
    texts = {name: str(entry[name]) for name in ("mirror", "source", "destination", "reason")}
    digests = {name: None if entry[name] is None else str(entry[name]) for name in ("source_digest", "destination_digest")}
    return Finding(condition=Condition(entry["condition"]), hint=str(entry.get("hint", "")), **texts, **digests)  # type: ignore[arg-type]  # the fields, by name
