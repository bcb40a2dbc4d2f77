"""The findings of a verification, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from imgsync.plan.model import PlanError


class Condition(StrEnum):
    """How it stands with one destination reference."""

    OK = "ok"
    MISSING = "missing"
    DIFFERS = "differs"
    INCOMPLETE = "incomplete"
    DAMAGED = "damaged"
    HELD = "held"
    REFUSED = "refused"


REPAIRABLE = frozenset({Condition.MISSING, Condition.DIFFERS, Condition.INCOMPLETE})


DRIFT = REPAIRABLE | {Condition.DAMAGED, Condition.REFUSED}


@dataclass(frozen=True, slots=True)
class Finding:
    """One destination reference: its condition, what it serves (None for nothing), what its source has, why that is so, in words, and a hint."""

    condition: Condition
    mirror: str
    source: str
    source_digest: str | None
    destination: str
    destination_digest: str | None
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """Every finding in the plan's order, what could not be asked, how much was read for it, and how long it took."""

    findings: tuple[Finding, ...]
    errors: tuple[PlanError, ...] = ()
    bytes_read: int = 0
    created_at: str = ""
    seconds: float = 0.0

    def count(self, condition: Condition) -> int:
        """Return how many findings have *condition*."""
        return sum(finding.condition is condition for finding in self.findings)

    @property
    def drift(self) -> tuple[Finding, ...]:
        """Return what is not as declared."""
        return tuple(finding for finding in self.findings if finding.condition in DRIFT)
