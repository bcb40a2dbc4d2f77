"""
Warn where nodes could mistake one image for another.

A runtime asks a mirror for all images below a prefix, also for those that no mirror declares. If other sources are copied to the same place, it may
find an image of the same path there.
"""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.config.model import Mirror
from imgsync.runtime_config.model import Findings, describe_mirrors
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Area:
    """Where a runtime looks for all images of a source prefix."""

    source: str
    place: str
    mirror: Mirror


def warn_of_mixed_sources(areas: Sequence[Area], findings: Findings) -> None:
    """Add a warning for each area that holds images of another source."""
    by_place: dict[str, list[Area]] = {}
    for area in areas:
        by_place.setdefault(area.place, []).append(area)
    warned: set[Area] = set()
    for inner in areas:
        for outer in (area for place in _list_above(inner.place) for area in by_place.get(place, ())):
            if outer not in warned and f"{outer.source}{inner.place.removeprefix(outer.place)}" != inner.source:
                warned.add(outer)
                _warn(outer, inner, findings)


def _list_above(place: str) -> tuple[str, ...]:
    """Return *place* and what it is below."""
    parts = place.split("/")
    return tuple("/".join(parts[:count]) for count in range(len(parts), 0, -1))


def _warn(outer: Area, inner: Area, findings: Findings) -> None:
    findings.add_warning(
        outer.mirror,
        f"nodes look for all images below {outer.source} at {outer.place}, where {describe_mirrors([inner.mirror])} "
        f"puts {inner.source}: one could be taken for the other",
        'give each source registry a place of its own, such as `repository: "{registry}/{path}"`',
    )
