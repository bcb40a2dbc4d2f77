"""Words and times of the pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from imgsync.serve.model import Trigger
from imgsync.serve.views import MirrorState, RunSummary, TagState
from imgsync.text.units import choose_noun

# The worst first.
STATE_NAMES: Mapping[str, str] = {
    MirrorState.FAILING: "Failing",
    MirrorState.REFUSED: "Refused",
    MirrorState.PENDING: "Pending",
    MirrorState.HELD: "On hold",
    MirrorState.GONE: "Gone at the source",
    MirrorState.UNCHECKED: "Not checked yet",
    MirrorState.SUSPENDED: "Suspended",
    MirrorState.IN_STEP: "In step",
}
TAG_STATES = tuple(TagState(state.value) for state in MirrorState if state.value in {one.value for one in TagState})
TRIGGER_NAMES: Mapping[str, str] = {
    Trigger.START: "the start of imgsync",
    Trigger.SCHEDULE: "the schedule",
    Trigger.EVENT: "an event",
    Trigger.CHANGE: "changed declarations",
    Trigger.REQUEST: "a request",
    Trigger.RETRY: "a retry",
}
# Results of `apply`, and actions of a plan that was not applied, in the words of the report.
COUNT_NAMES: Mapping[str, tuple[str, str]] = {
    "failed": ("failed", "failed"),
    "errors": ("errors", "not planned"),
    "error": ("errors", "not planned"),
    "refused": ("refused", "refused"),
    "refuse": ("refused", "refused"),
    "remaining": ("remaining", "left"),
    "create": ("remaining", "to create"),
    "update": ("remaining", "to update"),
    "delete": ("deleted", "to delete"),
    "copied": ("copied", "copied"),
    "deleted": ("deleted", "deleted"),
    "held": ("held", "on hold"),
    "hold": ("held", "on hold"),
    "gone": ("gone", "gone at the source"),
    "kept": ("in_step", "in step"),
    "keep": ("in_step", "in step"),
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_FAR_DAYS = 14
_STOPPED_EXIT = 75
# 2: changes are pending, of a plan.
_GOOD_EXITS = (0, 2)


def format_moment(moment: datetime) -> str:
    """Return *moment* as `2026-01-31 12:00 UTC`."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def describe_moment(moment: datetime, now: datetime) -> str:
    """Return how far *moment* is from *now*; a date if far."""
    seconds = (now - moment).total_seconds()
    distance = abs(seconds)
    if distance >= _FAR_DAYS * _DAY:
        return f"{moment:%Y-%m-%d}"
    if distance < _MINUTE:
        return "just now" if seconds >= 0 else "within a minute"
    # Rounded up to the next unit: 60 min are 1 h.
    size, unit = next(
        (size, unit) for size, unit, half in ((_DAY, "day", _HOUR / 2), (_HOUR, "h", _MINUTE / 2), (_MINUTE, "min", 0)) if distance >= size - half
    )
    count = round(distance / size)
    text = f"{count} {choose_noun(count, unit) if unit == 'day' else unit}"
    return f"{text} ago" if seconds >= 0 else f"in {text}"


def describe_run(run: RunSummary) -> tuple[str, str]:
    """Return the kind and the words of what came of *run*."""
    if run.error:
        return ("remaining", "Did not begin") if run.exit_code == _STOPPED_EXIT else ("failed", "Failed")
    if run.stopped or run.exit_code == _STOPPED_EXIT:
        return "remaining", "Stopped"
    if run.exit_code in _GOOD_EXITS:
        return "copied", "Done" if run.applies else "Planned"
    return "failed", "With problems"
