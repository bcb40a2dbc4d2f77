"""Recognize hashes and dates of snapshots, which are no versions.

A hash can have only digits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# git shortens hashes to seven digits or more; SHA-256 has 64.
_HASH = re.compile(r"[0-9a-fA-F]{7,64}")
_DATE = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[0-9]{2}){0,3}")
_FIRST_NUMBER = re.compile(r"[^0-9]*([0-9]+)(\.[0-9])?")
_SEPARATOR = re.compile(r"[-_+]")


def is_hash(text: str) -> bool:
    """Return whether *text* is a commit hash; `20250131` is a date."""
    return _HASH.fullmatch(text) is not None and _DATE.fullmatch(text) is None


def split_parts(tag: str) -> list[str]:
    """Return the parts of *tag* between `-`, `_` and `+`."""
    return _SEPARATOR.split(tag)


def starts_with_hash(tag: str) -> bool:
    """
    Return whether a hash stands where the version would.

    `main-99-1a2b3c4` has the version 99; `main-1a2b3c4` and `1234567-amd64` have none.
    """
    for part in split_parts(tag):
        if is_hash(part):
            return True
        if any(character.isdigit() for character in part):
            return False
    return False


def find_snapshots(texts: Mapping[str, str]) -> set[str]:
    """
    Return the tags that are dates beside versions with dots.

    Alpine's `20250108` is a snapshot, not newer than `3.21`. Where no other tag has dots, dates are the versions.

    Args:
        texts: Each tag, and the version in it.
    """
    found = {tag: match for tag, text in texts.items() if (match := _FIRST_NUMBER.match(text)) is not None}
    dates = {tag for tag, match in found.items() if _DATE.fullmatch(match[1]) is not None}
    return dates if any(match[2] for tag, match in found.items() if tag not in dates) else set()
