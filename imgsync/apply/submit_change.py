"""Submit a change to the workers of its destination registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.concurrency.workers import Workers
from imgsync.config.model import Mirror

if TYPE_CHECKING:
    from imgsync.apply.copy_change import ChangeTask, FinishedChange

# Larger images leave one place free, so that small ones do not wait behind them.
_LARGE_BYTES = 16 << 20
# Of large images, four run at once, and more while all are below this: each must come through a slow line within its time limit.
LARGE_BYTES_AT_ONCE = 1 << 30


def submit_change(workers: Workers[ChangeTask, FinishedChange | None], task: ChangeTask, mirror: Mirror) -> None:
    """Have *workers* run *task*, within the limits of its *mirror*."""
    size_bytes = task.change.size_bytes or 0
    # Mirrors with the same limit share it, so that many mirrors together do not exceed it.
    limit = mirror.concurrency.images
    workers.submit(task, queue=(task.change.destination.repository.registry, limit), limit=limit, weight=size_bytes if size_bytes > _LARGE_BYTES else 0)
