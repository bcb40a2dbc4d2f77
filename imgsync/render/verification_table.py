"""A verification as text for a terminal: drift, errors, then a summary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from imgsync.plan.findings import REPAIRABLE, Condition, Finding, Verification
from imgsync.plan.model import PlanError
from imgsync.render.image_name import find_prefix, name_destination
from imgsync.render.mirror_sections import merge_names
from imgsync.render.problems import make_problem, render_problems
from imgsync.render.reasons import find_shared, join_why, render_shared
from imgsync.render.rows import Row, render_rows
from imgsync.text.layout import PLAIN, Layout, fit, wrap, wrap_on_terminal
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_bytes, format_count, format_duration

_SIGNS = {
    Condition.OK: "=",
    Condition.MISSING: "+",
    Condition.DIFFERS: "~",
    Condition.INCOMPLETE: "~",
    Condition.DAMAGED: "x",
    Condition.HELD: "?",
    Condition.REFUSED: "!",
    Condition.GONE: ".",
    Condition.LOST: "x",
}


def render_verification_table(found: Verification, *, show_ok: bool, layout: Layout = PLAIN) -> str:
    """Return *found* as text; *show_ok* also lists tags that are ok."""
    return "\n".join(_render_lines(found, show_ok=show_ok, layout=layout)) + "\n"


def _render_lines(found: Verification, *, show_ok: bool, layout: Layout) -> Iterator[str]:
    findings: defaultdict[str, list[Finding]] = defaultdict(list)
    errors: defaultdict[str, list[PlanError]] = defaultdict(list)
    for finding in found.findings:
        if show_ok or finding.left_out or finding.condition is not Condition.OK:
            findings[finding.mirror].append(finding)
    for error in found.errors:
        errors[error.mirror].append(error)
    for mirror in merge_names(findings, errors):
        yield from _render_mirror(mirror, findings[mirror], errors[mirror], layout)
        yield ""
    yield from wrap_on_terminal(format_summary(found), layout, rest="  ")
    if any(finding.condition in REPAIRABLE for finding in found.findings):
        yield from wrap_on_terminal("Repair it with `imgsync apply` and the same PATH, --only, --state and --registries.", layout, rest="  ")


def _render_mirror(mirror: str, findings: Sequence[Finding], errors: Sequence[PlanError], layout: Layout) -> Iterator[str]:
    prefix = find_prefix(finding.destination for finding in findings)
    yield from fit([sanitize_short(mirror) or "no mirror", sanitize_short(prefix)], layout.width)
    by_condition: defaultdict[Condition, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_condition[finding.condition].append(finding)
    rows: list[Row] = []
    for condition, some in by_condition.items():
        shared = find_shared([finding.reason for finding in some])
        yield from render_shared(f"{len(some)} {condition.value}", shared, layout)
        word = "" if shared and len(by_condition) == 1 else condition.value
        rows += (_make_row(finding, prefix, word, join_why(finding.reason, without=shared)) for finding in some)
    yield from render_rows(rows, layout)
    for condition, some in by_condition.items():
        for hint in merge_names(finding.hint for finding in some if finding.hint):
            yield from wrap(f"hint ({condition.value}): {sanitize_short(hint)}", layout.width, first=" " * 6, rest=" " * 8)
    yield from render_problems([make_problem(error) for error in errors], layout)


def _make_row(finding: Finding, prefix: str, word: str, why: str) -> Row:
    return Row(_SIGNS[finding.condition], name_destination(finding.destination, prefix=prefix), word, why=why)


def format_summary(found: Verification) -> str:
    """Return the summary of *found* in one sentence."""
    counts = [f"{found.count(condition)} {condition.value}" for condition in Condition if condition is Condition.OK or found.count(condition)]
    errors = [format_count(len(found.errors), "error")] if found.errors else []
    read = f", {format_bytes(found.bytes_read)} read and hashed" if found.bytes_read else ""
    result = "Drift" if found.drift else "Not everything could be checked" if found.errors else "No drift"
    return f"{result}: {', '.join([*counts, *errors])} ({format_duration(found.seconds)}{read})."
