"""The options of a run."""

from __future__ import annotations

from dataclasses import dataclass

from imgsync.apply.time_limits import TimeLimits
from imgsync.plan.safety import SafetyLimits


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The limits of a run; with `fail_fast`, a failure ends it."""

    time_limits: TimeLimits
    safety_limits: SafetyLimits
    fail_fast: bool = False
