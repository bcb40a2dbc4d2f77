"""Log the plan and its errors."""

from __future__ import annotations

from collections import Counter

from imgsync.logs.logger import Logger
from imgsync.plan.model import Plan


def log_plan(plan: Plan, log: Logger) -> None:
    """Log the sums of *plan*, gone tags, and each error."""
    log.info("plan.built", plan_id=plan.id, **plan.counts, error=len(plan.errors), transfer_bytes=plan.transfer_bytes, seconds=plan.seconds)
    for mirror, count in Counter(tag.mirror for tag in plan.gone).items():
        first = next(tag for tag in plan.gone if tag.mirror == mirror)
        log.warning("tag.gone", mirror=mirror, count=count, reason=f"such as {first.source}, {first.description}")
    for destination in plan.returned:
        log.info("tag.returned", destination=destination)
    for error in plan.errors:
        log.error("plan.failed", mirror=error.mirror, reference=error.reference, error=error.message, hint=error.hint)
