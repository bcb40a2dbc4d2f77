"""
imgsync.run/v1: one run of `imgsync serve`.

What went wrong comes first, then what moved. A document is never larger than 1 MiB: longer lists are cut, and `left_out` counts the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from imgsync.apply.report import Result
from imgsync.documents.decode import decode_field
from imgsync.documents.envelope import append_hint, encode_errors
from imgsync.documents.json_stream import to_json
from imgsync.documents.report import encode_outcome
from imgsync.plan.model import PENDING, Action
from imgsync.serve.model import RunResult, Trigger
from imgsync.serve.views import RunSummary
from imgsync.text.units import format_timestamp, parse_timestamp

FORMAT = "imgsync.run/v1"
# Of the rows; the rest is small.
_ROWS_BYTES = 900 << 10
_ERRORS_LIMIT = 200
_TEXT_LIMIT = 2_000
_FIRST = (Result.FAILED, Result.REFUSED, Result.REMAINING)
_MOVED = (Result.DELETED, Result.COPIED)
_SHOWN = (Action.REFUSE, *sorted(PENDING), Action.HOLD)


def encode_run(result: RunResult, summary: RunSummary) -> dict[str, Any]:
    """Return the document of a run, whose *summary* was made before."""
    errors = result.errors
    outcomes, more_outcomes = _cut(_iter_outcomes(result))
    changes, more_changes = _cut(_iter_changes(result))
    left_out = {"errors": max(0, len(errors) - _ERRORS_LIMIT), "outcomes": more_outcomes, "changes": more_changes}
    return {
        "format": FORMAT,
        "id": summary.id,
        "trigger": summary.trigger.value,
        "mirrors": list(summary.mirrors),
        "only": [pattern.text for pattern in result.order.only],
        "applies": summary.applies,
        "partial": summary.is_partial,
        "began_at": format_timestamp(summary.began_at, milliseconds=True),
        "ended_at": format_timestamp(summary.ended_at, milliseconds=True),
        "seconds": round((summary.ended_at - summary.began_at).total_seconds(), 3),
        "plan_id": result.plan.id if result.plan is not None else None,
        "exit_code": summary.exit_code,
        "error": append_hint(summary.error, summary.hint)[:_TEXT_LIMIT] or None,
        **({"hint": summary.hint[:_TEXT_LIMIT]} if summary.hint else {}),
        "stopped": summary.stopped or None,
        "summary": {**summary.counts, "bytes_copied": summary.bytes_copied},
        "errors": encode_errors(errors[:_ERRORS_LIMIT]),
        "outcomes": outcomes,
        "changes": changes,
        "left_out": {name: count for name, count in left_out.items() if count},
    }


def decode_summary(document: Mapping[str, Any]) -> RunSummary:
    """
    Return the summary in a *document*.

    Raises:
        ValueError: It is damaged, or of another version.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"not {FORMAT}")
    counts: dict[str, int] = dict(decode_field(document, "summary", dict[str, int]))
    hint: str = decode_field(document, "hint", str, default="")
    error: str = decode_field(document, "error", str | None) or ""
    return RunSummary(
        id=decode_field(document, "id", str),
        trigger=decode_field(document, "trigger", Trigger),
        mirrors=decode_field(document, "mirrors", tuple[str, ...]),
        applies=decode_field(document, "applies", bool),
        is_partial=decode_field(document, "partial", bool),
        began_at=_decode_moment(document, "began_at"),
        ended_at=_decode_moment(document, "ended_at"),
        bytes_copied=counts.pop("bytes_copied", 0),
        counts=counts,
        exit_code=decode_field(document, "exit_code", int),
        error=error.removesuffix(f" ({hint})"),
        hint=hint,
        stopped=decode_field(document, "stopped", str | None) or "",
    )


def _decode_moment(document: Mapping[str, Any], name: str) -> datetime:
    moment = parse_timestamp(decode_field(document, name, str))
    if moment is None:
        raise ValueError(f"{name} is not a time")
    return moment


def _iter_outcomes(result: RunResult) -> Iterator[dict[str, Any]]:
    report = result.report
    if report is not None:
        for wanted in (*_FIRST, *_MOVED):
            yield from (encode_outcome(outcome) for outcome in report.select(wanted))


def _iter_changes(result: RunResult) -> Iterator[dict[str, Any]]:
    """Yield what a plan that was not applied would change."""
    plan = result.plan
    if plan is not None and result.report is None:
        for action in _SHOWN:
            yield from (change.document for change in plan.select({action}))


def _cut(rows: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Return those of *rows* that fit, and how many do not."""
    kept: list[dict[str, Any]] = []
    size = more = 0
    for row in rows:
        if more or (size := size + len(to_json(row, indented=False).encode(errors="replace"))) > _ROWS_BYTES:
            more += 1
        else:
            kept.append(row)
    return kept, more
