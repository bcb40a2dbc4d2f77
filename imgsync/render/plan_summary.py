"""Phrases that every rendering of a plan shares: counts, requests, pulls, reasons."""

from __future__ import annotations

from datetime import datetime

from imgsync.plan.model import Action, Change, Plan, PullCost
from imgsync.text.layout import shorten_digests
from imgsync.text.units import format_count, format_duration

_PHRASES = {"create": "to create", "update": "to update", "delete": "to delete", "hold": "on hold", "refuse": "refused"}
_ALWAYS_SHOWN = ("create", "update")


def format_counts(plan: Plan) -> list[str]:
    """Return counts of actions and errors, such as `1 to create`."""
    counts = plan.counts
    found = [f"{counts[name]} {phrase}" for name, phrase in _PHRASES.items() if counts[name] or name in _ALWAYS_SHOWN]
    gone = [f"{len(plan.gone)} gone at the source"] if plan.gone else []
    return [*found, *gone, *([format_count(len(plan.errors), "error")] if plan.errors else [])]


def describe_action(action: Action) -> str:
    """Return *action* as a phrase, such as `to create` or `refused`."""
    return _PHRASES.get(action.value, "up to date")


def is_unchanged(plan: Plan) -> bool:
    """Return whether everything is up to date, without errors."""
    return not plan.errors and len(plan.select({Action.KEEP})) == len(plan.changes)


def format_requests(plan: Plan) -> list[str]:
    """Return the requests that planning needed; empty if unknown."""
    requests = dict(plan.requests)
    return [format_count(requests.get(side, 0), f"{side} request") for side in ("destination", "source")] if requests else []


def format_apply_requests(plan: Plan) -> list[str]:
    """Return the most requests that apply needs; empty if unknown or none."""
    requests = dict(plan.applying)
    return [format_count(requests.get(side, 0), f"{side} request") for side in ("destination", "source")] if any(requests.values()) else []


def format_pulls(cost: PullCost) -> str:
    """Return the pulls that apply needs, and how many are left."""
    of = "" if cost.limit is None else f" of {cost.limit}"
    window = f" per {format_duration(cost.window_seconds)}" if cost.window_seconds else ""
    return f"apply needs {cost.pulls}; {cost.remaining}{of}{window} are left"


def _format_time_left(until: str, *, now: str) -> str:
    """Return the time from *now* to *until* (RFC 3339), "" if unknown."""
    try:
        seconds = (datetime.fromisoformat(until) - datetime.fromisoformat(now)).total_seconds()
    except (TypeError, ValueError):
        return ""
    return f"{format_duration(seconds)} left" if seconds > 0 else "ready at the next run"


def describe_reason(change: Change, *, now: str) -> str:
    """Return the reason of *change*, with the time left if held."""
    reason = shorten_digests(change.reason)
    left = _format_time_left(change.held_until, now=now) if change.held_until and now else ""
    return f"{reason} ({left})" if left else reason
