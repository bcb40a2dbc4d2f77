"""Log the plan and its errors."""

from __future__ import annotations

from imgsync.logs.logger import Logger
from imgsync.plan.model import Plan


def log_plan(plan: Plan, log: Logger) -> None:
    """Log the sums of *plan*, and each of its errors."""
    log.info("plan.built", plan_id=plan.id, **plan.counts, error=len(plan.errors), transfer_bytes=plan.transfer_bytes, seconds=plan.seconds)
    for error in plan.errors:
        log.error("plan.failed", mirror=error.mirror, reference=error.reference, error=error.message, hint=error.hint)
