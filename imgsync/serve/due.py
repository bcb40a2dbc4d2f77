"""
Compute when a mirror is due.

A cron expression follows the clock on the wall of its zone, as Debian's cron does: what falls into the hour that the clock skips runs right after it, and
what falls into the hour that comes twice runs once, unless it runs every hour or more often.
"""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from imgsync.config.schedule import Schedule
from imgsync.text.units import format_duration

# No zone sets its clock by more.
_NEAR = timedelta(hours=3)
# `1h00m` is `1h`.
_ZEROS = re.compile("(?<=[dhm])00[hms]$")


def find_next(schedule: Schedule, after: datetime, *, jitter: random.Random) -> datetime:
    """Return the first moment of *schedule* later than *after*, in UTC."""
    if schedule.cron:
        return _find_next_cron(schedule, after)
    spread = schedule.jitter * (2 * jitter.random() - 1)
    return after + timedelta(seconds=schedule.every_seconds * (1 + spread))


def find_longest_wait(schedule: Schedule, now: datetime) -> datetime:
    """Return the latest moment at which *schedule* may be due next."""
    if schedule.cron:
        return _find_next_cron(schedule, now)
    return now + timedelta(seconds=schedule.every_seconds * (1 + schedule.jitter))


def describe_schedule(schedule: Schedule) -> str:
    """Return *schedule* as a short text."""
    if schedule.cron:
        return f"{schedule.cron} ({schedule.zone})"
    jitter = f" ± {round(schedule.jitter * 100)}%" if schedule.jitter else ""
    return f"every {_ZEROS.sub('', format_duration(schedule.every_seconds))}{jitter}"


def _find_next_cron(schedule: Schedule, after: datetime) -> datetime:
    zone = ZoneInfo(schedule.zone)
    moments = CronSim(schedule.cron, _find_start(after, zone))
    while (found := next(moments).astimezone(UTC)) <= after:
        pass
    return found


def _find_start(after: datetime, zone: ZoneInfo) -> datetime:
    """Return a moment to count from, outside of hours that come twice."""
    # CronSim knows what ran before in such an hour only if it begins before it.
    start = after.astimezone(zone)
    is_near_change = (after + _NEAR).astimezone(zone).utcoffset() != (after - _NEAR).astimezone(zone).utcoffset()
    return (after - 2 * _NEAR).astimezone(zone) if is_near_change else start
