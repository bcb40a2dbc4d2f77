"""The words that all renderings of a plan share: its sums, what pulls it takes, how long a held image has to wait."""

from __future__ import annotations

import re
from datetime import datetime

from imgsync.plan.model import Action, Change, Plan, PullCost
from imgsync.text.units import format_count, format_duration

_WORDS = {"create": "to create", "update": "to update", "delete": "to delete", "hold": "on hold", "refuse": "refused"}
_ALWAYS = ("create", "update")
_UNTIL = re.compile(r"\buntil (\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:Z|\+00:00))")


def format_counts(plan: Plan) -> list[str]:
    """Return what there is of each action and of errors: `1 to create`, `0 to update`, `2 refused`, `1 error`; what is kept is not among them."""
    counts = plan.counts
    found = [f"{counts[name]} {words}" for name, words in _WORDS.items() if counts[name] or name in _ALWAYS]
    return [*found, *([format_count(len(plan.errors), "error")] if plan.errors else [])]


def describe_action(action: Action) -> str:
    """Return what a tag with *action* is: `to create`, `on hold`, `refused`, `up to date`."""
    return _WORDS.get(action.value, "up to date")


def is_unchanged(plan: Plan) -> bool:
    """Return whether everything is up to date and nothing went wrong."""
    return not plan.errors and all(change.action is Action.KEEP for change in plan.changes)


def format_requests(plan: Plan) -> list[str]:
    """Return how many requests each side was asked; empty where the plan does not know."""
    asked = dict(plan.requests)
    return [f"{asked.get(side, 0)} {side} requests" for side in ("destination", "source")] if asked else []


def format_apply_requests(plan: Plan) -> list[str]:
    """Return how many requests applying will take of each side, at most; empty where there is nothing to apply, or it is not known."""
    coming = dict(plan.applying)
    return [f"{coming.get(side, 0)} {side} requests" for side in ("destination", "source")] if any(coming.values()) else []


def format_pulls(cost: PullCost) -> str:
    """Return what applying takes of the pulls that a registry counts, and what is left."""
    of = "" if cost.limit is None else f" of {cost.limit}"
    window = f" per {format_duration(cost.window_seconds)}" if cost.window_seconds else ""
    return f"applying takes {cost.pulls}, {cost.remaining} are left{of}{window}"


def format_time_left(reason: str, *, now: str) -> str:
    """Return how long after *now* (RFC 3339) the moment is that *reason* holds an image until; empty where either is not told."""
    found = _UNTIL.search(reason)
    if found is None or not now:
        return ""
    try:
        seconds = (datetime.fromisoformat(found[1]) - datetime.fromisoformat(now)).total_seconds()
    except (TypeError, ValueError):
        return ""
    return f"{format_duration(seconds)} left" if seconds > 0 else "ready at the next run"


def describe_reason(change: Change, *, now: str) -> str:
    """Return why, for people: a held image's reason ends with the time left."""
    left = format_time_left(change.reason, now=now) if change.action is Action.HOLD else ""
    return f"{change.reason} ({left})" if left else change.reason
