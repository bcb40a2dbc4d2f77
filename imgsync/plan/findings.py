"""The result of a verification, as values."""

from __future__ import annotations

from enum import StrEnum

from imgsync.plan.model import PlanError
from imgsync.system.dataclass import dataclass


class Condition(StrEnum):
    """The condition of one destination reference."""

    OK = "ok"
    MISSING = "missing"
    DIFFERS = "differs"
    INCOMPLETE = "incomplete"
    DAMAGED = "damaged"
    HELD = "held"
    REFUSED = "refused"
    GONE = "gone"
    LOST = "lost"


# `apply` repairs these: `verify` marks their records as unconfirmed.
REPAIRABLE = frozenset({Condition.MISSING, Condition.DIFFERS, Condition.INCOMPLETE})
DRIFT = REPAIRABLE | {Condition.DAMAGED, Condition.REFUSED, Condition.LOST}


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One destination reference, compared with its source.

    `left_out` describes parts that are not copied on purpose.
    """

    condition: Condition
    mirror: str
    source: str
    source_digest: str | None
    destination: str
    destination_digest: str | None
    reason: str
    hint: str = ""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """All findings in the order of the plan, with errors."""

    findings: tuple[Finding, ...]
    errors: tuple[PlanError, ...] = ()
    bytes_read: int = 0
    created_at: str = ""
    seconds: float = 0.0

    def count(self, condition: Condition) -> int:
        """Return the number of findings with *condition*."""
        return sum(finding.condition is condition for finding in self.findings)

    @property
    def drift(self) -> tuple[Finding, ...]:
        """Return the findings that differ from the declaration."""
        return tuple(finding for finding in self.findings if finding.condition in DRIFT)
