"""When `imgsync serve` applies a mirror."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from imgsync.config.document import Path
from imgsync.system.dataclass import dataclass
from imgsync.text.units import parse_duration

_CRON_FIELDS = 5
_SHORTEST_SECONDS = 10.0
_LONGEST_SECONDS = 366 * 86400.0
_EXAMPLE = "such as `17 3 * * *`: minute, hour, day of month, month, day of week"


@dataclass(frozen=True, slots=True)
class Schedule:
    """
    A cron expression with its time zone, or an interval.

    `jitter` is the largest part of `every_seconds`, from 0 to 0.5, by which a run may start earlier or later.
    """

    cron: str = ""
    zone: str = "UTC"
    every_seconds: float = 0.0
    jitter: float = 0.0


def build_schedule(entry: Mapping[str, Any] | None) -> Schedule | None:
    """Return the schedule of a valid *entry*."""
    if not entry:
        return None
    if "cron" in entry:
        return Schedule(entry["cron"], entry.get("zone", "UTC"))
    return Schedule(every_seconds=parse_duration(entry["every"]), jitter=int(entry.get("jitter", "0%").removesuffix("%")) / 100)


def check_schedule(entry: object) -> Iterator[tuple[Path, str, str]]:
    """Yield each error that the schema cannot find: path, message, hint."""
    if not isinstance(entry, dict):
        return
    cron, zone, every = entry.get("cron"), entry.get("zone"), entry.get("every")
    if "cron" in entry and "every" in entry:
        yield ("every",), "`every` and `cron` exclude each other", "keep one"
    elif not entry:
        yield (), "a schedule needs `every` or `cron`", "such as {every: 15m}; without a schedule, `serve --every` counts"
    if isinstance(cron, str) and (problem := _find_cron_problem(cron)):
        yield ("cron",), problem, _EXAMPLE
    if isinstance(zone, str) and not _is_zone(zone):
        yield ("zone",), f"unknown time zone {zone!r}", "write a name of the IANA database, such as Europe/Berlin"
    for name, other in (("zone", "cron"), ("jitter", "every")):
        if name in entry and other not in entry:
            yield (name,), f"`{name}` needs `{other}`", ""
    if isinstance(every, str):
        yield from _check_every(every)


def _check_every(text: str) -> Iterator[tuple[Path, str, str]]:
    try:
        seconds = parse_duration(text)
    except ValueError:
        # The schema reports it.
        return
    if not _SHORTEST_SECONDS <= seconds <= _LONGEST_SECONDS:
        yield ("every",), f"{text!r} is not between 10s and 366d", "events bring what is new sooner than a short interval"


def _find_cron_problem(text: str) -> str:
    # Imported now: few mirrors have a cron expression.
    from cronsim import CronSim, CronSimError

    if len(text.split()) != _CRON_FIELDS:
        return f"{text!r} does not have five fields"
    try:
        next(CronSim(text, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        return f"invalid cron expression {text!r}: {str(error).lower()}"
    except StopIteration:
        return f"{text!r} never comes"
    return ""


def _is_zone(name: str) -> bool:
    # Imported now: few mirrors name a zone.
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        # ZoneInfoNotFoundError is a KeyError.
        return False
    return True
