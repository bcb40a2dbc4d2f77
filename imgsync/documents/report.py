"""imgsync.report/v1: the result of an apply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from imgsync.apply.report import COUNTS, Outcome, Report, Result, SharedCopies
from imgsync.documents.decode import decode_field
from imgsync.documents.envelope import append_hint, check_format, decode_errors, encode_errors, name_damage, remove_hint
from imgsync.documents.json_stream import Rows
from imgsync.oci.spec.reference import Reference
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.model import Action, Change

FORMAT = "imgsync.report/v1"


def encode_report(report: Report, *, clean: Callable[[Any], Any] = lambda value: value) -> dict[str, Any]:
    """
    Return *report* as a document, whose outcomes are `Rows`.

    *clean* hides secrets, in the document without outcomes and in each outcome.
    """
    document: dict[str, Any] = {
        "format": FORMAT,
        "plan_id": report.plan_id,
        "created_at": report.created_at,
        "summary": {
            **{result.value: report.count(result) for result in Result},
            **{name: report.total(name) for name in COUNTS},
            "gone": len(report.gone),
            "seconds": report.seconds,
        },
        "outcomes": Rows(lambda: (clean(encode_outcome(outcome)) for outcome in report.iter_outcomes())),
        # Only of shards.
        **({"shared": [asdict(one) for one in report.shared]} if report.shared else {}),
        "errors": encode_errors(report.errors),
        "gone": [tag.document for tag in report.gone],
        "stopped": report.stopped or None,
        "notes": list(report.notes),
    }
    return clean(document)  # type: ignore[no-any-return]


def decode_report(document: Mapping[str, Any], *, name: str) -> Report:
    """
    Return the report in *document*, read from the file *name*.

    Raises:
        UsageError: It is not a report, or is damaged.
    """
    check_format(document, FORMAT, name=name)
    with name_damage("report", name=name):
        return Report(
            plan_id=decode_field(document, "plan_id", str),
            outcomes=tuple(decode_outcome(entry) for entry in decode_field(document, "outcomes", tuple[dict[str, Any], ...])),
            errors=decode_errors(document),
            seconds=decode_field(document.get("summary"), "seconds", float),
            stopped=decode_field(document, "stopped", str | None, default=None) or "",
            notes=decode_field(document, "notes", tuple[str, ...], default=()),
            created_at=decode_field(document, "created_at", str, default=""),
            gone=decode_field(document, "gone", tuple[GoneTag, ...], default=()),
            shared=decode_field(document, "shared", tuple[SharedCopies, ...], default=()),
        )


def encode_outcome(outcome: Outcome) -> dict[str, Any]:
    """Return *outcome* as JSON values."""
    change = outcome.change
    return {
        "action": change.action.value,
        "result": outcome.result.value,
        "mirror": change.mirror,
        "source": str(change.source),
        "destination": str(change.destination),
        "digest": outcome.digest,
        "crc32": outcome.crc32,
        **{name: getattr(outcome, name) for name in COUNTS},
        "seconds": outcome.seconds,
        "attempts": outcome.attempts,
        "error": append_hint(outcome.error, outcome.hint) if outcome.error else None,
        **({"hint": outcome.hint} if outcome.hint else {}),
        "reason": change.reason,
        **({"left_out": list(outcome.left_out)} if outcome.left_out else {}),
        **({"held_until": change.held_until} if change.held_until else {}),
    }


def decode_outcome(entry: Mapping[str, Any]) -> Outcome:
    """
    Return the outcome in *entry*.

    Raises:
        ValueError: It is malformed.
    """

    def text(name: str) -> str:
        return str(decode_field(entry, name, str))

    error, hint = decode_field(entry, "error", str | None), decode_field(entry, "hint", str, default="")
    change = Change(
        action=decode_field(entry, "action", Action),
        mirror=text("mirror"),
        source=decode_field(entry, "source", Reference),
        source_digest=None,
        destination=decode_field(entry, "destination", Reference),
        destination_digest=None,
        media_type=None,
        size_bytes=None,
        reason=decode_field(entry, "reason", str, default=""),
        held_until=decode_field(entry, "held_until", str | None, default=None),
    )
    return Outcome(
        change,
        result=decode_field(entry, "result", Result),
        digest=decode_field(entry, "digest", str | None),
        crc32=decode_field(entry, "crc32", str | None),
        seconds=decode_field(entry, "seconds", float),
        attempts=decode_field(entry, "attempts", int),
        error=None if error is None else remove_hint(error, hint),
        hint=hint,
        left_out=decode_field(entry, "left_out", tuple[str, ...], default=()),
        **{name: decode_field(entry, name, int, default=0) for name in COUNTS},
    )
