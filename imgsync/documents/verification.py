"""imgsync.verification/v1: the result of verify."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from imgsync.documents.decode import decode_field
from imgsync.documents.envelope import check_format, decode_errors, encode_errors, name_damage
from imgsync.plan.findings import Condition, Finding, Verification

FORMAT = "imgsync.verification/v1"


def encode_verification(found: Verification) -> dict[str, Any]:
    """Return *found* as a document."""
    counts = {condition.value: found.count(condition) for condition in Condition}
    return {
        "format": FORMAT,
        "created_at": found.created_at,
        "summary": {**counts, "drift": len(found.drift), "error": len(found.errors), "bytes_read": found.bytes_read, "seconds": found.seconds},
        "findings": [_encode_finding(finding) for finding in found.findings],
        "errors": encode_errors(found.errors),
    }


def _encode_finding(finding: Finding) -> dict[str, Any]:
    """Return *finding* as JSON values; `left_out` only if it is set."""
    fields = {**asdict(finding), "condition": finding.condition.value}
    return {name: value for name, value in fields.items() if value or name != "left_out"}


def decode_verification(document: Mapping[str, Any], *, name: str) -> Verification:
    """
    Return the verification in *document*, read from the file *name*.

    Raises:
        UsageError: It is not a verification, or is damaged.
    """
    check_format(document, FORMAT, name=name)
    with name_damage("verification", name=name):
        summary = document.get("summary")
        return Verification(
            findings=decode_field(document, "findings", tuple[Finding, ...]),
            errors=decode_errors(document),
            bytes_read=decode_field(summary, "bytes_read", int),
            created_at=decode_field(document, "created_at", str),
            seconds=decode_field(summary, "seconds", float),
        )
