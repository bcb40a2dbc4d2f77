"""Report progress without a terminal: a log line at intervals."""

from __future__ import annotations

import contextlib
from typing import Self

from imgsync.concurrency.greenlets import call_every
from imgsync.logs.logger import Logger
from imgsync.progress.counts import Counts, Work


class Heartbeat:
    """Logs progress at intervals, so that no CI kills a quiet job."""

    def __init__(self, counts: Counts, log: Logger, *, seconds: float, work: Work) -> None:
        """Log *counts* to *log* every *seconds*."""
        self._counts = counts
        self._log = log
        self._seconds = seconds
        self._work = work

    def __enter__(self) -> Self:
        """Start the timer."""
        self._stop_timer = call_every(self._seconds, self._log_progress)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the timer."""
        self._stop_timer()

    def pause(self) -> contextlib.AbstractContextManager[None]:
        """Continue: log lines and printed results do not collide."""
        return contextlib.nullcontext()

    def _log_progress(self) -> None:
        if self._work is Work.VERIFY:
            self._log_checking()
            return
        if self._work is Work.VOLUMES:
            self._log_volumes()
            return
        if self._counts.images_total is None:
            self._log_planning()
        if self._work is Work.APPLY:
            self._log_copying()

    def _log_planning(self) -> None:
        counts = self._counts
        self._log.info(
            "plan.progress",
            repositories_listed=counts.repositories_listed,
            repositories_total=counts.repositories,
            tags_looked_up=counts.tags_looked_up,
            tags_total=counts.tags,
            requests=counts.requests,
            seconds=round(counts.seconds, 1),
        )

    def _log_copying(self) -> None:
        counts = self._counts
        left = counts.left_seconds
        self._log.info(
            "apply.progress",
            images_done=counts.images_done,
            images_running=len(counts.running),
            images_total=counts.images_total,
            bytes_copied=counts.bytes_copied,
            bytes_total=counts.bytes_total,
            bytes_per_second=round(counts.rate.per_second),
            left_seconds=None if left is None else round(left),
            seconds=round(counts.seconds, 1),
        )

    def _log_checking(self) -> None:
        counts = self._counts
        self._log.info(
            "verify.progress",
            repositories_listed=counts.repositories_listed,
            repositories_total=counts.repositories,
            images_checked=counts.tags_looked_up,
            images_total=counts.tags,
            images_read=counts.images_read,
            bytes_read=counts.bytes_read,
            requests=counts.requests,
            seconds=round(counts.seconds, 1),
        )

    def _log_volumes(self) -> None:
        counts = self._counts
        left = counts.left_seconds
        self._log.info(
            "bundle.progress",
            volumes_read=counts.images_done,
            volumes_total=counts.images_total,
            bytes_read=counts.bytes_copied,
            bytes_total=counts.bytes_total,
            bytes_per_second=round(counts.rate.per_second),
            left_seconds=None if left is None else round(left),
            seconds=round(counts.seconds, 1),
        )
