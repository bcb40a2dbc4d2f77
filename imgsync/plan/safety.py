"""Limit how much one plan may change and transfer."""

from __future__ import annotations

from imgsync.errors import UnsafePlanError
from imgsync.plan.model import Plan
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_bytes, format_count


@dataclass(frozen=True, slots=True)
class SafetyLimits:
    """The limits of `--max-changes` and `--max-bytes`; None for no limit."""

    changes: int | None = None
    size_bytes: int | None = None

    @property
    def is_set(self) -> bool:
        """Return whether there is any limit."""
        return self.changes is not None or self.size_bytes is not None

    def find_problem(self, plan: Plan) -> str:
        """Return which limit *plan* exceeds, or ""."""
        if self.changes is not None and len(plan.pending) > self.changes:
            return f"the plan has {format_count(len(plan.pending), 'change')}, more than --max-changes {self.changes}"
        if self.size_bytes is not None and plan.transfer_bytes > self.size_bytes:
            return f"the plan transfers {format_bytes(plan.transfer_bytes)}, more than --max-bytes {format_bytes(self.size_bytes)}"
        return ""

    def raise_if_unsafe(self, plan: Plan) -> None:
        """
        Return if *plan* is within the limits.

        Raises:
            UnsafePlanError: It exceeds one.
        """
        if problem := self.find_problem(plan):
            raise UnsafePlanError(f"{problem}; nothing was done", hint="review the plan, then raise the limit")
