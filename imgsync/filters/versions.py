"""
Versions in tags: the grammar of semantic versions, ranges over them, and the order people count in.

Ranges are those of npm (`>=1.29 <2`, `^1.3 || ~2.1`, `1.x`), by the `semantic-version` library.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semantic_version import Version

_VERSION = re.compile(r"[vV]?(0|[1-9][0-9]{0,17})(?:\.(0|[1-9][0-9]{0,17}))?(?:\.(0|[1-9][0-9]{0,17}))?((?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)")
_DIGITS = re.compile(r"[0-9]+")
# No tag has more than 128 digits; those of more than so many are compared as text.
_LONGEST_NUMBER = 24


def parse_version(text: str) -> Version | None:
    """Return *text* as a version, a leading `v` ignored and missing parts 0; None when it is none (`01.2`, `1.2.3.4`)."""
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    from semantic_version import Version

    major, minor, patch, rest = found.groups()
    try:
        return Version(f"{major}.{minor or 0}.{patch or 0}{rest}")
    except ValueError:
        return None


class VersionRange:
    """A range of versions, as written and as understood."""

    __slots__ = ("_spec", "text")

    def __init__(self, text: str) -> None:
        """Understand *text*; see `parse_range` for what it raises."""
        from semantic_version import NpmSpec

        self.text = text
        try:
            self._spec = NpmSpec(re.sub(r"(^|[\s<>=~^|])[vV](?=[0-9])", r"\1", text))
        except AttributeError as error:
            # What the library makes of an operator before a range such as `^1 - 2`.
            raise ValueError("it is no range") from error

    def __repr__(self) -> str:
        """Show the range as written."""
        return f"VersionRange({self.text!r})"

    def allows(self, version: Version, *, prereleases: bool) -> bool:
        """
        Return whether *version* is in the range.

        Pre-releases are out unless *prereleases*; then one counts as the release it leads to: `1.29.0-rc.1` is in
        `>=1.29`, `2.0.0-rc.1` is not in `<2`.
        """
        if version.prerelease and not prereleases:
            return False
        return bool(self._spec.match(version.truncate("patch")))


def parse_range(text: str) -> VersionRange:
    """
    Return *text* as a range.

    Raises:
        ValueError: It is none.
    """
    try:
        return VersionRange(text or "an empty text")
    except ValueError as error:
        raise ValueError(f"{text!r} is no range of versions; write one such as '>=1.29 <2' or '^1.3 || ~2.1'") from error


def natural_key(text: str) -> str:
    """Return a sort key that puts `v1.9` before `v1.10`: a text, since tens of thousands of keys of nested tuples would be most of a plan's memory."""
    return f"{_DIGITS.sub(_padded, text)}\0{text}"


def _padded(digits: re.Match[str]) -> str:
    return digits.group().zfill(_LONGEST_NUMBER)
