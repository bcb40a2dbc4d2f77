"""
Semantic versions in tags.

Reads versions as npm does in loose mode, but also accepts `1.27` and `3`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from imgsync.filters.hashes import find_snapshots, starts_with_hash
from imgsync.filters.tag_versions import is_prerelease_suffix
from imgsync.system.dataclass import dataclass

Release = tuple[int, int, int]
# Precedence: the release, 1 for a release or 0 for a pre-release, and the identifiers of the pre-release.
Precedence = tuple[int, int, int, int, tuple[tuple[int, int, str], ...]]

# The largest number that npm accepts.
LARGEST_NUMBER = 2**53 - 1
_VERSION = re.compile(
    r"[vV]?([0-9]{1,17})(?:\.([0-9]{1,17})(?:\.([0-9]{1,17}))?)?"
    r"(?:-([0-9A-Za-z.-]+)|([A-Za-z][0-9A-Za-z.-]*))?(?:\+[0-9A-Za-z.-]+|_([0-9A-Za-z._-]+))?"
)


@dataclass(frozen=True, slots=True)
class SemVer:
    """A semantic version, without its build metadata, which does not count."""

    release: Release
    prerelease: tuple[str, ...] = ()

    @property
    def precedence(self) -> Precedence:
        """Return a sort key: a pre-release comes before its release."""
        return (*self.release, int(not self.prerelease), tuple(_rank_identifier(one) for one in self.prerelease))

    def __str__(self) -> str:
        """Return the version with all three numbers."""
        return ".".join(map(str, self.release)) + ("-" + ".".join(self.prerelease) if self.prerelease else "")


def parse_version(text: str) -> SemVer | None:
    """
    Parse a semantic version such as `v1.2`; None for anything else.

    A leading `v` is ignored; missing numbers are 0; `2025.02.03` is 2025.2.3. `1.2.3.4` and commit hashes are not versions.
    `_` starts the build metadata, because a tag cannot have a `+`: `21.0.5_11`. Alpine's `3.21.0_rc1` is a pre-release.
    """
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    major, minor, patch, dashed, glued, build = found.groups()
    release = (int(major), int(minor or 0), int(patch or 0))
    # `1.2.3rc1` is a version; `8u402` is not.
    if max(release) > LARGEST_NUMBER or (glued and patch is None) or starts_with_hash(text):
        return None
    prerelease = split_prerelease(dashed or glued or (build if build and is_prerelease_suffix(build) else ""))
    return None if prerelease is None else SemVer(release, prerelease)


def read_versions(texts: Mapping[str, str]) -> dict[str, SemVer]:
    """
    Return the semantic versions of tags.

    Args:
        texts: Each tag, and the version in it.
    """
    found = {tag: version for tag, text in texts.items() if (version := parse_version(text)) is not None}
    snapshots = find_snapshots({tag: texts[tag] for tag in found})
    return {tag: version for tag, version in found.items() if tag not in snapshots}


def split_prerelease(text: str) -> tuple[str, ...] | None:
    """Return the identifiers of a pre-release; None if one is empty."""
    if not text:
        return ()
    parts = tuple(text.split("."))
    return parts if all(parts) else None


def _rank_identifier(text: str) -> tuple[int, int, str]:
    return (0, int(text), "") if text.isdigit() else (1, 0, text)
