"""Limits on how much one plan may change and move."""

from __future__ import annotations

from dataclasses import dataclass

from imgsync.plan.model import Plan
from imgsync.text.units import format_bytes


@dataclass(frozen=True, slots=True)
class SafetyLimits:
    """How much one plan may change and move."""

    changes: int | None
    size_bytes: int | None

    @property
    def any(self) -> bool:
        """Return whether there is one."""
        return self.changes is not None or self.size_bytes is not None

    def problem(self, plan: Plan) -> str:
        """Return in words what of *plan* goes too far, "" for nothing."""
        if self.changes is not None and len(plan.pending) > self.changes:
            return f"the plan holds {len(plan.pending)} changes, more than --max-changes {self.changes}"
        if self.size_bytes is not None and plan.transfer_bytes > self.size_bytes:
            return f"the plan moves {format_bytes(plan.transfer_bytes)}, more than --max-bytes {format_bytes(self.size_bytes)}"
        return ""
