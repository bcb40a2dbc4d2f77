"""Options of a run, as the apply room needs them."""

from __future__ import annotations

from dataclasses import dataclass

from imgsync.apply.time_limits import TimeLimits
from imgsync.plan.safety import SafetyLimits


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run may take, change and move; `fail_fast` ends it at the first failure."""

    time_limits: TimeLimits
    safety_limits: SafetyLimits
    fail_fast: bool = False
