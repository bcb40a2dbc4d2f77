"""
Correct values that are written in another tool's way.

Each function returns what to write, "" if it cannot say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from imgsync.oci.spec.platform import suggest_platform

_NUMBER_AND_UNIT = re.compile(r"P?T?([0-9]{1,9}) ?([A-Za-z]*)")
_DURATION_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), (1, "s")),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), (1, "m")),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), (1, "h")),
    **dict.fromkeys(("d", "day", "days"), (1, "d")),
    **dict.fromkeys(("w", "week", "weeks"), (7, "d")),
    **dict.fromkeys(("mo", "month", "months"), (30, "d")),
    **dict.fromkeys(("y", "yr", "year", "years"), (365, "d")),
}
_SIZE_UNITS = {prefix.lower() + end: f"{prefix}iB" for prefix in "KMGT" for end in ("", "b", "i", "ib")}
_BYTE_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_RATE = re.compile(r"([1-9][0-9]{0,8}) ?(?:r?(?:/|p| per ) ?([a-z]+))?")
_BOOLEANS = {**dict.fromkeys(("true", "yes", "on", "1", "enabled"), "true"), **dict.fromkeys(("false", "no", "off", "0", "disabled"), "false")}
# What a pattern of the schema stands for, by its end; of two that fit, the first.
_PATTERN_KINDS = {
    "/([1-9][0-9]{0,5})?(s|m|h|d)$": "rate",
    "ms|s|m|h|d)){1,8}$": "duration",
    "iB)$": "size",
    "://": "URL",
    "(/[a-z0-9.]+)?$": "platform",
    "{0,62}$": "name",
}
# A text that needs no quotes: any version of YAML reads what begins with a letter as text, but for these words.
_PLAIN_TEXT = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_./:@-]*[A-Za-z0-9_/])?")
_NOT_TEXT = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def name_pattern(pattern: str) -> str:
    """Return what a pattern of the schema stands for, such as "duration"."""
    return next((kind for end, kind in _PATTERN_KINDS.items() if pattern.endswith(end)), "value")


def correct_text(kind: str, text: str, *, example: str) -> str:
    """
    Return *text* as a value of *kind*.

    *example* is one of the setting, whose unit serves a number without one.
    """
    if kind == "duration":
        return _correct_duration(text, unit=example.lstrip("0123456789"))
    if kind == "size":
        return _correct_size(text)
    if kind == "rate":
        return _correct_rate(text)
    if kind == "platform":
        return suggest_platform(text)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:63] if kind == "name" else ""


def correct_boolean(text: str) -> str:
    """Return `true` or `false` if *text* says one of them."""
    return _BOOLEANS.get(text.lower(), "")


def correct_list(text: str) -> str:
    """Return the list that *text* holds: words between commas or spaces."""
    return format_flow([word for word in re.split(r"[,\s]+", text) if word])


def correct_number(text: str) -> str:
    """Return the number in *text*, which was quoted."""
    return text if text.isascii() and text.isdigit() else ""


def format_flow(value: Any) -> str:
    """Return *value* as YAML on one line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{format_flow(name)}: {format_flow(one)}' for name, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(format_flow, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)
    return value if _PLAIN_TEXT.fullmatch(value) and value.lower() not in _NOT_TEXT else "'{}'".format(value.replace("'", "''"))


def _correct_duration(text: str, *, unit: str) -> str:
    found = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if found is None:
        return ""
    factor, name = _DURATION_UNITS.get((found[2] or unit).lower(), (0, ""))
    # `M` is a month to some, a minute to others.
    return f"{int(found[1]) * factor}{name}" if factor and found[2] != "M" else ""


def _correct_size(text: str) -> str:
    found = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        return ""
    if found[2]:
        unit = _SIZE_UNITS.get(found[2].lower(), "")
        return f"{int(found[1])}{unit}" if unit else ""
    count = int(found[1])
    return next((f"{-(-count // size)}{unit}" for size, unit in _BYTE_UNITS if count >= size), "")


def _correct_rate(text: str) -> str:
    found = _RATE.fullmatch(text.strip().lower())
    if found is None:
        return ""
    factor, unit = _DURATION_UNITS.get(found[2] or "s", (0, ""))
    return f"{found[1]}/{unit}" if factor == 1 else ""
