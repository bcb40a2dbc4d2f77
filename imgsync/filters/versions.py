"""
Semantic versions in tags, version ranges, and natural sort order.

Ranges use npm syntax (`>=1.29 <2`, `^1.3 || ~2.1`, `1.x`), from the `semantic-version` library.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semantic_version import Version

_VERSION = re.compile(r"[vV]?(0|[1-9][0-9]{0,17})(?:\.(0|[1-9][0-9]{0,17}))?(?:\.(0|[1-9][0-9]{0,17}))?((?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)")
_DIGITS = re.compile(r"[0-9]+")
# Longer numbers compare as text.
_LONGEST_NUMBER = 24


def parse_version(text: str) -> Version | None:
    """
    Parse a version such as `v1.2`; None if malformed.

    `01.2` and `1.2.3.4` are malformed. A leading `v` is ignored; missing parts are 0.
    """
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
    """A parsed version range."""

    __slots__ = ("_spec", "text")

    def __init__(self, text: str) -> None:
        """Parse *text*; raises as `parse_range` does."""
        from semantic_version import NpmSpec

        self.text = text
        try:
            self._spec = NpmSpec(re.sub(r"(^|[\s<>=~^|])[vV](?=[0-9])", r"\1", text))
        except AttributeError as error:
            # semantic-version raises this for an operator before a hyphen range: `^1 - 2`.
            raise ValueError("not a version range") from error

    def __repr__(self) -> str:
        """Return the range as written."""
        return f"VersionRange({self.text!r})"

    def allows(self, version: Version, *, prereleases: bool) -> bool:
        """
        Return whether *version* is in the range.

        Pre-releases never match unless *prereleases*; then each counts as its release: `1.29.0-rc.1` is in `>=1.29`, `2.0.0-rc.1`
        is not in `<2`.
        """
        if version.prerelease and not prereleases:
            return False
        return bool(self._spec.match(version.truncate("patch")))


def parse_range(text: str) -> VersionRange:
    """
    Parse *text* as a version range.

    Raises:
        ValueError: *text* is not a range.
    """
    try:
        return VersionRange(text or "an empty text")
    except ValueError as error:
        raise ValueError(f"invalid version range {text!r}; write one such as '>=1.29 <2' or '^1.3 || ~2.1'") from error


def make_natural_key(text: str) -> str:
    """Return a sort key that puts `v1.9` before `v1.10`."""
    # A string: nested tuples for tens of thousands of tags would dominate the memory of a plan.
    return f"{_DIGITS.sub(_pad, text)}\0{text}"


def _pad(digits: re.Match[str]) -> str:
    return digits.group().zfill(_LONGEST_NUMBER)
