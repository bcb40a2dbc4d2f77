"""The next run, started by the one that had to stop: whether (`guard`), by whom (`target`, `services`), how (`post`, `command`)."""

from imgsync.requeue.loop_guard import DEFAULT_LIMIT, Decision, Progress, may_requeue, requeues_so_far
from imgsync.requeue.model import NextRun
from imgsync.requeue.target import Target, parse_target, start_next

__all__ = ["DEFAULT_LIMIT", "Decision", "NextRun", "Progress", "Target", "may_requeue", "parse_target", "requeues_so_far", "start_next"]
