"""Report progress without a terminal: a log line at intervals."""

from __future__ import annotations

import contextlib
import time
from typing import Self

from imgsync.apply.report import Outcome
from imgsync.concurrency.greenlets import call_every
from imgsync.logs.logger import Logger
from imgsync.plan.model import Change, Plan


class Heartbeat:
    """Logs `apply.progress` at intervals, so that no CI kills a quiet job."""

    def __init__(self, log: Logger, *, seconds: float) -> None:
        """Log to *log* every *seconds*; totals are unknown before the plan."""
        self._log = log
        self._seconds = seconds
        self._images_total: int | None = None
        self._bytes_total: int | None = None
        self._images = 0
        self._running = 0
        self._bytes = 0
        self._began = time.monotonic()
        self._first_start: float | None = None

    def __enter__(self) -> Self:
        """Start the timer."""
        self._stop_timer = call_every(self._seconds, self._log_progress)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the timer."""
        self._stop_timer()

    def on_plan(self, plan: Plan) -> None:
        """Set the totals of *plan*."""
        self._images_total = len(plan.pending)
        self._bytes_total = plan.transfer_bytes

    def on_start(self, change: Change) -> None:  # noqa: ARG002 - the interface of `ProgressListener`
        """Count a running image; the rate counts from the first on."""
        self._first_start = self._first_start or time.monotonic()
        self._running += 1

    def on_bytes(self, change: Change, size_bytes: int) -> None:  # noqa: ARG002 - the interface of `ProgressListener`
        """Count bytes."""
        self._bytes += size_bytes

    def on_finish(self, outcome: Outcome) -> None:  # noqa: ARG002 - the interface of `ProgressListener`
        """Count a finished image."""
        self._running -= 1
        self._images += 1

    def pause(self) -> contextlib.AbstractContextManager[None]:
        """Continue: log lines and printed results do not collide."""
        return contextlib.nullcontext()

    def _log_progress(self) -> None:
        now = time.monotonic()
        rate = self._bytes / (now - self._first_start) if self._first_start is not None else 0.0
        left = None if self._bytes_total is None or not rate else round(max(0, self._bytes_total - self._bytes) / rate)
        self._log.info(
            "apply.progress",
            images_done=self._images,
            images_running=self._running,
            images_total=self._images_total,
            bytes_copied=self._bytes,
            bytes_total=self._bytes_total,
            bytes_per_second=round(rate),
            left_seconds=left,
            seconds=round(now - self._began, 1),
        )
