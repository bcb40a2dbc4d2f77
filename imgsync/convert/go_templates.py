"""The few Go templates that people write into regsync's files; the rest is told apart, never guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_CALL = re.compile(r"\{\{-?\s*(env|file)\s*[\"`]([^\"`]+)[\"`]\s*-?\}\}")
_SOURCE = re.compile(r"\.Sync\.Source")
_PART = re.compile(r"index\s+\(\s*split\s+\.Sync\.Source\s+[\"`]([^\"`]+)[\"`]\s*\)\s+([0-9]+)")
_LONGEST = 2000
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Call:
    """A template that is one call and nothing else: "env" or "file", and its argument."""

    function: str
    argument: str


def is_template(text: str) -> bool:
    """Return whether *text* holds a template."""
    return "{{" in text


def whole_call(text: str) -> Call | None:
    """Return the one call that *text* is; None when it is anything else."""
    found = _CALL.fullmatch(text.strip())
    if found is None or (found[1] == "env" and not _VARIABLE.fullmatch(found[2])):
        return None
    return Call(found[1], found[2])


def filled(text: str, source: str) -> str | None:
    """Return *text* with what it takes of the entry's own *source* filled in; None when it asks for anything else."""
    if len(text) > _LONGEST:
        return None
    known = True

    def value(found: re.Match[str]) -> str:
        nonlocal known
        if _SOURCE.fullmatch(found[1]):
            return source
        part = _PART.fullmatch(found[1])
        parts = source.split(part[1]) if part is not None else []
        if part is None or int(part[2]) >= len(parts):
            known = False
            return ""
        return parts[int(part[2])]

    done = _ACTION.sub(value, text)
    return done if known and "{{" not in done else None
