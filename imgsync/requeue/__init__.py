"""Start the next run when one had to stop."""

from imgsync.requeue.loop_guard import DEFAULT_LIMIT, Decision, Progress, count_requeues, may_requeue
from imgsync.requeue.model import NextRun
from imgsync.requeue.target import Target, parse_target, start_next

__all__ = ["DEFAULT_LIMIT", "Decision", "NextRun", "Progress", "Target", "count_requeues", "may_requeue", "parse_target", "start_next"]
