"""Parse and format durations, sizes, rates and timestamps."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_DURATION_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ns|us|µs|μs|ms|s|m|h|d)")
_MAX_DURATION_PARTS = 8
_NANOSECONDS = {"d": 86400 * 10**9, "h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RATE = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,5})?(s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB|TiB)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def parse_integer(text: str, *, digits: int = 15) -> int | None:
    """
    Parse a non-negative ASCII integer; None if malformed or too long.

    `int()` also accepts signs, underscores and Unicode digits.
    """
    return int(text) if len(text) <= digits and text.isascii() and text.isdigit() else None


def parse_duration(text: str) -> float:
    """
    Return a duration (`90s`, `15m`, `90d`, `1h30m`, `500ms`) in seconds.

    The units are those of Go, and `d` for 24 hours.

    Raises:
        ValueError: *text* is not a duration.
    """
    position = total = 0
    for _ in range(_MAX_DURATION_PARTS):
        found = _DURATION_PART.match(text, position)
        if found is None:
            break
        whole, _, fraction = found[1].partition(".")
        unit = _NANOSECONDS[found[2].replace("µ", "u").replace("μ", "u")]
        total += int(whole) * unit + int(fraction or 0) * unit // 10 ** len(fraction)
        position = found.end()
    if not text or position < len(text):
        raise ValueError(f"invalid duration {text!r}; write numbers with units, such as 90s, 15m, 6h, 90d, 1h30m or 500ms")
    return total / 10**9


def format_declared_duration(seconds: float) -> str:
    """Return *seconds* as written in a mirror file: `90s`, `15m`, `3d`, `500ms`."""
    rest = int(seconds) * 10**9 + round(seconds % 1 * 10**9)
    unit = next((unit for unit, size in _NANOSECONDS.items() if rest and rest % size == 0), "s")
    if rest // _NANOSECONDS[unit] < 10**9:
        return f"{rest // _NANOSECONDS[unit]}{unit}"
    parts = []
    for unit, size in _NANOSECONDS.items():
        count, rest = divmod(rest, size)
        parts.append(f"{count}{unit}" if count else "")
    return "".join(parts)


def parse_size(text: str) -> int:
    """
    Return a size (`512KiB`, `64MiB`) in bytes.

    Raises:
        ValueError: *text* is not a size.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"invalid size {text!r}; write a number and a unit, such as 512KiB or 64MiB")
    return int(found.group(1)) * _BYTES[found.group(2)]


def parse_rate(text: str) -> tuple[int, float]:
    """
    Return a rate (`10/s`, `100/m`, `200/6h`) as requests and seconds.

    Raises:
        ValueError: *text* is not a rate.
    """
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError(f"invalid rate {text!r}; write requests per time, such as 10/s, 100/m or 200/6h")
    return int(found.group(1)), float(int(found.group(2) or 1) * _SECONDS[found.group(3)])


def format_bytes(count: int) -> str:
    """Return *count* bytes for people: `0 B`, `512 KiB`, `98.1 MiB`."""
    size, unit = choose_byte_unit(count)
    return f"{count} B" if size == 1 else f"{count / size:.1f} {unit}"


def choose_byte_unit(count: int) -> tuple[int, str]:
    """Return the largest unit that *count* bytes fill: its size and name."""
    return next(((size, unit) for unit, size in reversed(_BYTES.items()) if abs(count) >= size), (1, "B"))


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


def parse_timestamp(text: str) -> datetime | None:
    """Parse an RFC 3339 timestamp in UTC, fractions allowed; None otherwise."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ" if "." in text else "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def format_timestamp(moment: datetime, *, milliseconds: bool = False) -> str:
    """Return a moment in UTC as RFC 3339: `2026-01-31T12:00:00Z`."""
    return moment.isoformat(timespec="milliseconds" if milliseconds else "seconds").replace("+00:00", "Z")


def format_count(count: int, name: str, names: str = "") -> str:
    """Return "1 NAME" or "N NAMES"; *names* is an irregular plural."""
    return f"{count} {choose_noun(count, name, names)}"


def choose_noun(count: int, name: str, names: str = "") -> str:
    """Return NAME for one, else NAMES; *names* is an irregular plural."""
    return name if count == 1 else names or f"{name}s"


def format_subject(count: int, name: str) -> str:
    """Return "1 NAME is" or "N NAMEs are"."""
    return f"{format_count(count, name)} {'is' if count == 1 else 'are'}"
