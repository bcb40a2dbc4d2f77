"""
Remove secrets from plans, reports and verifications before they are rendered.

A rendered text may have broken a secret into several code spans, where it is not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from imgsync.apply.packed_outcomes import pack_outcomes
from imgsync.cli.output import get_redaction
from imgsync.plan.model import KeptView, Plan
from imgsync.plan.packed_changes import pack_changes

if TYPE_CHECKING:
    from imgsync.apply.report import Report
    from imgsync.plan.findings import Verification

_Value = TypeVar("_Value")
_TEXTS = ("reference", "message", "reason", "error", "hint")


def redact_plan(plan: Plan) -> Plan:
    """Return *plan* with the texts of its changes and errors cleaned."""
    changes, kept = pack_changes(_iter_cleaned(plan.changes)), tuple(KeptView(kept, _iter_cleaned) for kept in plan.kept)
    # The id is a hash of the changes as they are.
    return replace(plan, changes=changes, errors=_clean_all(plan.errors), gone=_clean_all(plan.gone), known_id=plan.id, kept=kept)


def redact_report(report: Report) -> Report:
    """Return *report* with the texts of its outcomes and errors cleaned."""
    changes = () if isinstance(report.outcomes, tuple) else report.outcomes.changes
    return replace(report, outcomes=pack_outcomes(changes, _iter_cleaned(report.outcomes)), errors=_clean_all(report.errors), gone=_clean_all(report.gone))


def redact_verification(found: Verification) -> Verification:
    """Return *found* with the texts of its findings and errors cleaned."""
    return replace(found, findings=_clean_all(found.findings), errors=_clean_all(found.errors))


def _clean_all(values: tuple[_Value, ...]) -> tuple[_Value, ...]:
    return tuple(_iter_cleaned(values))


def _iter_cleaned(values: Iterable[_Value]) -> Iterator[_Value]:
    clean = get_redaction().clean
    # Most reasons are equal.
    known: dict[str, str] = {}
    for value in values:
        texts = {name: text for name in _TEXTS if isinstance(text := getattr(value, name, None), str) and text}
        changed = {name: shown for name, text in texts.items() if (shown := known.get(text) or known.setdefault(text, clean(text))) != text}
        yield replace(value, **changed) if changed else value  # type: ignore[type-var]
