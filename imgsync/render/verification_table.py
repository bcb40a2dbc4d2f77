"""A verification as text for a terminal: drift, errors, then a summary."""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.plan.findings import REPAIRABLE, Condition, Verification
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_bytes, format_duration

_SIGNS = {
    Condition.OK: "=",
    Condition.MISSING: "+",
    Condition.DIFFERS: "~",
    Condition.INCOMPLETE: "~",
    Condition.DAMAGED: "x",
    Condition.HELD: "?",
    Condition.REFUSED: "!",
}


def render_verification_table(found: Verification, *, show_ok: bool) -> str:
    """Return *found* as text; *show_ok* also lists tags that are ok."""
    return "\n".join(_render_lines(found, show_ok=show_ok)) + "\n"


def _render_lines(found: Verification, *, show_ok: bool) -> Iterator[str]:
    for finding in found.findings:
        if show_ok or finding.left_out or finding.condition is not Condition.OK:
            yield f"  {_SIGNS[finding.condition]} {sanitize_short(finding.destination)}   {finding.condition.value}   {sanitize_short(finding.reason)}"
            if finding.hint:
                yield f"      hint: {sanitize_short(finding.hint)}"
    for error in found.errors:
        yield f"  x {sanitize_short(error.reference)}   error   {sanitize_short(error.message)}"
        if error.hint:
            yield f"      hint: {sanitize_short(error.hint)}"
    yield format_summary(found)
    if any(finding.condition in REPAIRABLE for finding in found.findings):
        yield "Repair it with: imgsync apply"


def format_summary(found: Verification) -> str:
    """Return the summary of *found* in one sentence."""
    counts = [f"{found.count(condition)} {condition.value}" for condition in Condition if condition is Condition.OK or found.count(condition)]
    errors = [f"{len(found.errors)} {'error' if len(found.errors) == 1 else 'errors'}"] if found.errors else []
    read = f", {format_bytes(found.bytes_read)} read and hashed" if found.bytes_read else ""
    result = "Drift" if found.drift else "Not everything could be checked" if found.errors else "No drift"
    return f"{result}: {', '.join([*counts, *errors])} ({format_duration(found.seconds)}{read})."
