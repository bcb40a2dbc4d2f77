"""Short forms of what discovery finds, for comparisons."""

from __future__ import annotations

from collections.abc import Iterable

from imgsync.discover.model import FoundImage, SkippedInput


def brief(found: Iterable[FoundImage | SkippedInput]) -> list[tuple[str, str, int]]:
    """Return the reference or else the text, the certainty and the line of each find."""
    return [(str(one.reference or one.text), str(one.certainty), one.line) for one in found if isinstance(one, FoundImage)]


def skipped(found: Iterable[FoundImage | SkippedInput]) -> list[SkippedInput]:
    """Return the inputs that were not read."""
    return [one for one in found if isinstance(one, SkippedInput)]
