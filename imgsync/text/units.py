"""Durations, sizes and rates as people write them, and back."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_DURATION = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RATE = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,5})?(s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB|TiB)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def whole_number(text: str, *, digits: int = 15) -> int | None:
    """Return what a header or a field says in at most so many ASCII *digits*, None where it says anything else, be it a digit to Unicode."""
    return int(text) if len(text) <= digits and text.isascii() and text.isdigit() else None


def parse_duration(text: str) -> float:
    """
    Return *text* (`90s`, `15m`, `6h`, `90d`) in seconds.

    Raises:
        ValueError: It is no duration.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration; write a number and a unit, such as 90s, 15m, 6h or 90d")
    return float(int(found.group(1)) * _SECONDS[found.group(2)])


def declared_duration(seconds: float) -> str:
    """Return *seconds* as a declaration says them, in the largest unit that needs no fraction: `90s`, `15m`, `3d`."""
    whole = round(seconds)
    unit = next((unit for unit in ("d", "h", "m") if whole and whole % _SECONDS[unit] == 0), "s")
    return f"{whole // _SECONDS[unit]}{unit}"


def parse_size(text: str) -> int:
    """
    Return *text* (`512KiB`, `64MiB`) in bytes.

    Raises:
        ValueError: It is no size.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no size; write a number and a unit, such as 512KiB or 64MiB")
    return int(found.group(1)) * _BYTES[found.group(2)]


def parse_rate(text: str) -> tuple[int, float]:
    """
    Return *text* (`10/s`, `100/m`, `200/6h`) as requests and the seconds they are spread over.

    Raises:
        ValueError: It is no rate.
    """
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no rate; write requests per time, such as 10/s, 100/m or 200/6h")
    return int(found.group(1)), float(int(found.group(2) or 1) * _SECONDS[found.group(3)])


def format_bytes(count: int) -> str:
    """Return *count* bytes for people: `0 B`, `512 KiB`, `98.1 MiB`."""
    if abs(count) < 1024:
        return f"{count} B"
    value, unit = float(count), "B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):  # noqa: B007 - the unit reached is used below
        value /= 1024
        if abs(value) < 1024:
            break
    return f"{value:.1f} {unit}"


def format_duration(seconds: float) -> str:
    """Return *seconds* for people: `0.4s`, `42s`, `3m12s`, `2h05m`, `3d04h`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def parse_moment(text: str) -> datetime | None:
    """Return the moment that *text* tells as `format_moment` does, however exactly, None for any other text."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ" if "." in text else "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def format_moment(moment: datetime, *, exact: bool = False) -> str:
    """Return a moment in UTC as RFC 3339, to the second: `2026-01-31T12:00:00Z`, or to the millisecond where what comes first must be told: *exact*."""
    return moment.isoformat(timespec="milliseconds" if exact else "seconds").replace("+00:00", "Z")


def counted(count: int, name: str, names: str = "") -> str:
    """Return "1 NAME" or "N NAMEs", or how else many are called."""
    return f"{count} {name}" if count == 1 else f"{count} {names or f'{name}s'}"
