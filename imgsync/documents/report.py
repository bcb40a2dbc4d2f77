"""imgsync.report/v1: what an apply came to (design.md §4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgsync.documents.form import check_format, errors_document, errors_of, with_hint
from imgsync.errors import UsageError
from imgsync.plan.model import Action, Change
from imgsync.report import Outcome, Report

FORMAT = "imgsync.report/v1"
_RESULTS = ("copied", "kept", "failed", "refused", "deleted", "remaining")
_COUNTS = ("bytes_copied", "blobs_copied", "blobs_mounted", "blobs_present")


def report_document(report: Report) -> dict[str, Any]:
    """Return *report* as the fields of imgsync.report/v1."""
    return {
        "format": FORMAT,
        "plan_id": report.plan_id,
        "created_at": report.created_at,
        "summary": {
            **{result: report.count(result) for result in _RESULTS},
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
    try:
        return Report(
            plan_id=str(document["plan_id"]),
            outcomes=tuple(_outcome(entry) for entry in document["outcomes"]),
            errors=errors_of(document),
            seconds=float(document["summary"]["seconds"]),
            stopped=str(document.get("stopped") or ""),
            notes=tuple(str(note) for note in document.get("notes") or ()),
            created_at=str(document.get("created_at") or ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{name} is damaged: it is no whole report ({type(error).__name__}: {error})") from error


def _outcome_document(outcome: Outcome) -> dict[str, Any]:
    change = outcome.change
    return {
        "action": change.action.value,
        "result": outcome.result,
        "mirror": change.mirror,
        "source": change.source,
        "destination": change.destination,
        "digest": outcome.digest,
        "crc32": outcome.crc32,
        **{name: getattr(outcome, name) for name in _COUNTS},
        "seconds": outcome.seconds,
        "attempts": outcome.attempts,
        "error": with_hint(outcome.error, outcome.hint) if outcome.error else None,
    }


def _outcome(entry: Mapping[str, Any]) -> Outcome:
    change = Change(
        action=Action(entry["action"]),
        mirror=str(entry["mirror"]),
        source=str(entry["source"]),
        source_digest=None,
        destination=str(entry["destination"]),
        destination_digest=None,
        media_type=None,
        size_bytes=None,
        reason="",
    )
    return Outcome(
        change,
        result=str(entry["result"]),
        digest=_text(entry["digest"]),
        crc32=_text(entry["crc32"]),
        bytes_copied=int(entry["bytes_copied"]),
        blobs_copied=int(entry.get("blobs_copied") or 0),
        blobs_mounted=int(entry.get("blobs_mounted") or 0),
        blobs_present=int(entry.get("blobs_present") or 0),
        seconds=float(entry["seconds"]),
        attempts=int(entry["attempts"]),
        error=_text(entry["error"]),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
