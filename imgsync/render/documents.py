"""The JSON documents: imgsync.plan/v1 and imgsync.report/v1 (design.md §4)."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from imgsync.plan.model import Plan, PlanError
from imgsync.report import Report


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return *plan* as the fields of imgsync.plan/v1."""
    counts = plan.counts
    return {
        "format": "imgsync.plan/v1",
        "id": plan.id,
        "created_at": plan.created_at,
        "summary": {
            **{name: counts[name] for name in ("create", "update", "keep", "hold", "refuse", "delete")},
            "error": len(plan.errors),
            "transfer_bytes": plan.transfer_bytes,
        },
        "changes": [{**asdict(change), "action": change.action.value} for change in plan.changes],
        "errors": _errors(plan.errors),
        # Only where a source counts pulls, as Docker Hub does.
        **({"pulls": [asdict(cost) for cost in plan.pulls]} if plan.pulls else {}),
    }


def report_document(report: Report) -> dict[str, Any]:
    """Return *report* as the fields of imgsync.report/v1."""
    results = ("copied", "kept", "failed", "refused", "deleted", "remaining")
    return {
        "format": "imgsync.report/v1",
        "plan_id": report.plan_id,
        "summary": {
            **{result: report.count(result) for result in results},
            **{name: report.total(name) for name in ("bytes_copied", "blobs_copied", "blobs_mounted", "blobs_present")},
            "seconds": report.seconds,
        },
        "outcomes": [
            {
                "action": outcome.change.action.value,
                "mirror": outcome.change.mirror,
                "source": outcome.change.source,
                "destination": outcome.change.destination,
                "digest": outcome.digest,
                "crc32": outcome.crc32,
                "bytes_copied": outcome.bytes_copied,
                "seconds": outcome.seconds,
                "attempts": outcome.attempts,
                "error": _with_hint(outcome.error, outcome.hint) if outcome.error else None,
            }
            for outcome in report.outcomes
        ],
        "errors": _errors(report.errors),
    }


def to_json(document: object, *, indented: bool) -> str:
    """Return *document* as JSON without a trailing newline, indented for people or compact for pipes."""
    return json.dumps(document, indent=2 if indented else None, separators=None if indented else (",", ":"), ensure_ascii=False)


def _errors(errors: tuple[PlanError, ...]) -> list[dict[str, str]]:
    return [{"mirror": error.mirror, "reference": error.reference, "message": _with_hint(error.message, error.hint)} for error in errors]


def _with_hint(message: str, hint: str) -> str:
    return f"{message} ({hint})" if hint else message
