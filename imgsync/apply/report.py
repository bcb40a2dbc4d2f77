"""What an apply came to: one outcome per change, and their sum (design.md §4, imgsync.report/v1)."""

from __future__ import annotations

from dataclasses import dataclass

from imgsync.plan.model import Change, PlanError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one change came to. `result` is copied, kept, held, refused, deleted, failed or remaining."""

    change: Change
    result: str
    digest: str | None = None
    crc32: str | None = None
    bytes_copied: int = 0
    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_present: int = 0
    seconds: float = 0.0
    attempts: int = 0
    error: str | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """
    Every outcome in the plan's order, what the plan could not say, seconds in all, why it stopped early if it did.

    `notes` are things to tell; `created_at` is when it ended, RFC 3339.
    """

    plan_id: str
    outcomes: tuple[Outcome, ...]
    errors: tuple[PlanError, ...] = ()
    seconds: float = 0.0
    stopped: str = ""
    notes: tuple[str, ...] = ()
    created_at: str = ""

    def count(self, result: str) -> int:
        """Return how many outcomes have *result*."""
        return sum(outcome.result == result for outcome in self.outcomes)

    def total(self, field: str) -> int:
        """Return the sum of an integer *field* over the outcomes."""
        return sum(getattr(outcome, field) for outcome in self.outcomes)
