"""The options of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from imgsync.apply.time_limits import TimeLimits
from imgsync.plan.model import Plan
from imgsync.plan.safety import SafetyLimits
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.apply.shard_part import ShardPart


@dataclass(frozen=True, slots=True)
class RunOptions:
    """
    The limits of a run; with `fail_fast`, a failure ends it.

    `approve` is called with a plan that has changes, before any of them begins. It raises an error if they must not be applied.
    `shard` is set if the plan is a part of a saved one.
    """

    time_limits: TimeLimits
    safety_limits: SafetyLimits
    fail_fast: bool = False
    approve: Callable[[Plan], None] | None = None
    shard: ShardPart | None = None

    @property
    def needs_whole_plan(self) -> bool:
        """Return whether nothing may begin before the plan is complete."""
        return self.approve is not None or self.safety_limits.is_set or self.shard is not None
