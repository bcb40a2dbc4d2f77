"""What the page of a run shows of its document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgsync.system.dataclass import dataclass

_SHOWN = 200


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What failed, what moved, and how many of each are not shown."""

    problems: tuple[Mapping[str, Any], ...]
    moved: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    problems_omitted: int
    moved_omitted: int


def read_run_facts(document: Mapping[str, Any]) -> RunFacts:
    """Return what to show of an imgsync.run/v1."""
    return RunFacts((), (), tuple(map(str, document.get("notes") or ())), 0, 0)
