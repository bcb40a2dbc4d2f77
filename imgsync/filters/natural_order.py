"""Natural sort order: numbers in texts compare as numbers."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"[0-9]+")
# Longer numbers compare as text.
_LONGEST_NUMBER = 24


def make_natural_key(text: str) -> str:
    """Return a sort key that puts `v1.9` before `v1.10`."""
    # A string: nested tuples for tens of thousands of tags would dominate the memory of a plan.
    return f"{_DIGITS.sub(_pad, text)}\0{text}"


def _pad(digits: re.Match[str]) -> str:
    return digits.group().zfill(_LONGEST_NUMBER)
