"""imgsync.report/v1: what an apply came to (design.md §4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgsync.apply.report import Outcome, Report, Result
from imgsync.documents.decode import member
from imgsync.documents.envelope import check_format, errors_document, errors_of, reading, with_hint
from imgsync.oci.spec.reference import Reference
from imgsync.plan.model import Action, Change

FORMAT = "imgsync.report/v1"
_COUNTS = ("bytes_copied", "blobs_copied", "blobs_mounted", "blobs_present")


def report_document(report: Report) -> dict[str, Any]:
    """Return *report* as the fields of imgsync.report/v1."""
    return {
        "format": FORMAT,
        "plan_id": report.plan_id,
        "created_at": report.created_at,
        "summary": {
            **{result.value: report.count(result) for result in Result},
            **{name: report.total(name) for name in _COUNTS},
            "seconds": report.seconds,
        },
        "outcomes": [_outcome_document(outcome) for outcome in report.outcomes],
        "errors": errors_document(report.errors),
        "stopped": report.stopped or None,
        "notes": list(report.notes),
    }


def report_of(document: Mapping[str, Any], *, name: str) -> Report:
    """
    Return the report that *document*, from the file *name*, tells of.

    Raises:
        UsageError: It is none, or damaged.
    """
    check_format(document, FORMAT, name=name)
    with reading("report", name=name):
        return Report(
            plan_id=member(document, "plan_id", str),
            outcomes=tuple(_outcome(entry) for entry in member(document, "outcomes", tuple[dict[str, Any], ...])),
            errors=errors_of(document),
            seconds=member(document.get("summary"), "seconds", float),
            stopped=member(document, "stopped", str | None, default=None) or "",
            notes=member(document, "notes", tuple[str, ...], default=()),
            created_at=member(document, "created_at", str, default=""),
        )


def _outcome_document(outcome: Outcome) -> dict[str, Any]:
    change = outcome.change
    return {
        "action": change.action.value,
        "result": outcome.result.value,
        "mirror": change.mirror,
        "source": str(change.source),
        "destination": str(change.destination),
        "digest": outcome.digest,
        "crc32": outcome.crc32,
        **{name: getattr(outcome, name) for name in _COUNTS},
        "seconds": outcome.seconds,
        "attempts": outcome.attempts,
        "error": with_hint(outcome.error, outcome.hint) if outcome.error else None,
        "reason": change.reason,
    }


def _outcome(entry: Mapping[str, Any]) -> Outcome:
    def text(name: str) -> str:
        return str(member(entry, name, str))

    change = Change(
        action=member(entry, "action", Action),
        mirror=text("mirror"),
        source=member(entry, "source", Reference),
        source_digest=None,
        destination=member(entry, "destination", Reference),
        destination_digest=None,
        media_type=None,
        size_bytes=None,
        reason=member(entry, "reason", str, default=""),
    )
    return Outcome(
        change,
        result=member(entry, "result", Result),
        digest=member(entry, "digest", str | None),
        crc32=member(entry, "crc32", str | None),
        seconds=member(entry, "seconds", float),
        attempts=member(entry, "attempts", int),
        error=member(entry, "error", str | None),
        **{name: member(entry, name, int, default=0) for name in _COUNTS},
    )
