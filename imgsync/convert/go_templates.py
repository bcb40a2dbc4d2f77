"""
Evaluate the Go templates common in regsync files.

All other templates are detected, and never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_CALL = re.compile(r"\{\{-?\s*(env|file)\s*[\"`]([^\"`]+)[\"`]\s*-?\}\}")
_SOURCE = re.compile(r"\.Sync\.Source")
_PART = re.compile(r"index\s+\(\s*split\s+\.Sync\.Source\s+[\"`]([^\"`]+)[\"`]\s*\)\s+([0-9]+)")
_MAX_LENGTH = 2000
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Call:
    """A call of "env" or "file" with its argument."""

    function: str
    argument: str


def is_template(text: str) -> bool:
    """Return whether *text* contains a template."""
    return "{{" in text


def parse_call(text: str) -> Call | None:
    """Return the call, None unless *text* is a single call."""
    found = _CALL.fullmatch(text.strip())
    if found is None or (found[1] == "env" and not _VARIABLE.fullmatch(found[2])):
        return None
    return Call(found[1], found[2])


def fill_template(text: str, source: str) -> str | None:
    """Fill in the source; None if other templates remain."""
    if len(text) > _MAX_LENGTH:
        return None
    is_known = True

    def evaluate(found: re.Match[str]) -> str:
        nonlocal is_known
        if _SOURCE.fullmatch(found[1]):
            return source
        part = _PART.fullmatch(found[1])
        parts = source.split(part[1]) if part is not None else []
        if part is None or int(part[2]) >= len(parts):
            is_known = False
            return ""
        return parts[int(part[2])]

    filled = _ACTION.sub(evaluate, text)
    return filled if is_known and "{{" not in filled else None
