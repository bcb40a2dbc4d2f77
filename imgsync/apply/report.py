"""The report of a run: one outcome per change."""

from __future__ import annotations

from enum import StrEnum

from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.model import Change, PlanError
from imgsync.system.dataclass import dataclass


class Result(StrEnum):
    """
    The result of one change.

    A kept tag was up to date. A held one waits for its minimum age. A refused one may not be changed. A remaining one is left for the next run.
    """

    COPIED = "copied"
    KEPT = "kept"
    FAILED = "failed"
    REFUSED = "refused"
    DELETED = "deleted"
    REMAINING = "remaining"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one change, its cost, and what was left out."""

    change: Change
    result: Result
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
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SharedCopies:
    """What shards moved for one mirror apart from its images."""

    mirror: str
    bytes_copied: int = 0
    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_present: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """
    Every outcome of a run, in the plan's order.

    `errors` are those of the plan; `seconds` is the duration of the run; `stopped` says why it stopped early, "" if it did not;
    `created_at` is when it ended (RFC 3339); `gone` are tags that stay although their source no longer has them; `shared` is what
    shards moved apart from images.
    """

    plan_id: str
    outcomes: tuple[Outcome, ...]
    errors: tuple[PlanError, ...] = ()
    seconds: float = 0.0
    stopped: str = ""
    notes: tuple[str, ...] = ()
    created_at: str = ""
    gone: tuple[GoneTag, ...] = ()
    shared: tuple[SharedCopies, ...] = ()

    def count(self, result: Result) -> int:
        """Return how many outcomes have *result*."""
        return sum(outcome.result == result for outcome in self.outcomes)

    def total(self, field: str) -> int:
        """Return the sum of an integer *field* over outcomes and shared blobs."""
        return sum(getattr(one, field) for one in (*self.outcomes, *self.shared))
