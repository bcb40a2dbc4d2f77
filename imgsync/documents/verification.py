"""imgsync.verification/v1: how it stands with what is declared (design.md §3 `verify`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from imgsync.documents.decode import member
from imgsync.documents.envelope import check_format, errors_document, errors_of, reading
from imgsync.plan.findings import Condition, Finding, Verification

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
    with reading("verification", name=name):
        summary = document.get("summary")
        return Verification(
            findings=member(document, "findings", tuple[Finding, ...]),
            errors=errors_of(document),
            bytes_read=member(summary, "bytes_read", int),
            created_at=member(document, "created_at", str),
            seconds=member(summary, "seconds", float),
        )
