"""Say why a run left work, and what its errors concern."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from imgsync.apply.report import Report, Result
from imgsync.plan.model import PlanError
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_count

_MOST_REASONS = 2


def describe_left(report: Report, count: str, *, stopped: str = "Stopped", clean: Callable[[str], str] = sanitize_short) -> str:
    """Return the sentence about the work that is left, *count* of it."""
    left = [outcome.error for outcome in report.select(Result.REMAINING)]
    # With --fail-fast a run stops without a reason: the failed image is one.
    reason = report.stopped or ("an image failed" if not all(left) and report.count(Result.FAILED) else "")
    if reason:
        return f"{stopped} ({clean(reason[:100])}): {count}. Run it again to continue."
    reasons = list(dict.fromkeys(filter(None, left)))
    shown = f" ({clean('; '.join(reasons)[:200])})" if 0 < len(reasons) <= _MOST_REASONS else ""
    return f"{count}{shown}."


def describe_errors(report: Report, unplanned: str) -> list[str]:
    """Return the numbers of planning errors and of others."""
    others = sum(error.planned for error in report.errors)
    planning = len(report.errors) - others
    return [*([f"{planning} {unplanned}"] if planning else []), *([format_count(others, "error")] if others else [])]


def name_errors(errors: Iterable[PlanError]) -> str:
    """Return the title of *errors*."""
    titles = {"Not applied" if error.planned else "Could not be planned" for error in errors}
    return "Errors" if len(titles) > 1 else "".join(titles)
