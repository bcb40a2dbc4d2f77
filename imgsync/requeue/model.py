"""What the next run is given."""

from __future__ import annotations

from imgsync.system.dataclass import dataclass

REQUEUED_VARIABLE = "IMGSYNC_REQUEUED"
STARTING = "start the next run"


@dataclass(frozen=True, slots=True)
class NextRun:
    """The next run: its number from 1, the changes left, their plan."""

    number: int
    remaining: int
    plan_id: str
