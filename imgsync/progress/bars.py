"""Show progress as bars on a terminal; never on stdout."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from imgsync.apply.report import Outcome
from imgsync.concurrency.greenlets import call_every
from imgsync.oci.spec.reference import Reference
from imgsync.plan.model import Change, Plan

_REFRESH_SECONDS = 0.1
_MOST_IMAGE_BARS = 8


class Bars:
    """A bar for the total, and one per running image."""

    def __init__(self, console: Console) -> None:
        """Prepare; draw on *console* once the first image starts."""
        # rich refreshes in a thread, which under gevent stands still while a greenlet hashes: refresh with a timer instead.
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=True,  # log lines go above the bars
            transient=True,
        )
        self._images: int | None = None
        self._done = 0
        self._total = self._progress.add_task("", total=None)
        self._tasks: dict[Reference, TaskID] = {}
        self._stop_refresh: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        """Return the bars."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bars."""
        self._erase()

    def on_plan(self, plan: Plan) -> None:
        """Set the totals of *plan*."""
        self._images = len(plan.pending)
        self._progress.update(self._total, description=self._describe_total(), total=plan.transfer_bytes or None)

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Remove the bars within the block."""
        is_drawn = self._stop_refresh is not None
        self._erase()
        yield
        if is_drawn:
            self._draw()

    def on_start(self, change: Change) -> None:
        """Add the image's bar; start drawing with the first one."""
        if self._stop_refresh is None:
            self._draw()
        name = str(change.source).partition("/")[2]
        self._tasks[change.destination] = self._progress.add_task(f"  {name}", total=change.size_bytes, visible=len(self._tasks) < _MOST_IMAGE_BARS)

    def _draw(self) -> None:
        self._progress.start()
        self._stop_refresh = call_every(_REFRESH_SECONDS, self._progress.refresh)

    def _erase(self) -> None:
        if self._stop_refresh is not None:
            self._stop_refresh()
            self._stop_refresh = None
            self._progress.stop()

    def on_bytes(self, change: Change, size_bytes: int) -> None:
        """Advance the image's bar and the total."""
        self._progress.advance(self._total, size_bytes)
        self._progress.advance(self._tasks[change.destination], size_bytes)

    def on_finish(self, outcome: Outcome) -> None:
        """Remove the image's bar, and count the image."""
        self._progress.remove_task(self._tasks.pop(outcome.change.destination))
        self._done += 1
        self._progress.update(self._total, description=self._describe_total())

    def _describe_total(self) -> str:
        many = self._done if self._images is None else self._images
        return f"{self._done}{'' if self._images is None else f' of {self._images}'} {'image' if many == 1 else 'images'}"
