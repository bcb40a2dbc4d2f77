"""A plan for GitLab's merge-request widget (`artifacts:reports:terraform`)."""

from __future__ import annotations

from imgsync.plan.model import Plan


def render_gitlab_summary(plan: Plan) -> dict[str, int]:
    """Return the three numbers that GitLab requires."""
    counts = plan.counts
    return {name: counts[name] for name in ("create", "update", "delete")}
