"""What the rooms of a requeue hand to each other."""

from __future__ import annotations

from dataclasses import dataclass

REQUEUED_VARIABLE = "IMGSYNC_REQUEUED"
STARTING = "start the next run"


@dataclass(frozen=True, slots=True)
class NextRun:
    """What the next run is told: which one in a row it is (from 1), how many changes are left, and of which plan."""

    number: int
    remaining: int
    plan_id: str
