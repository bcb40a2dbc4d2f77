"""How far an apply is, on a terminal: bars. They never touch stdout."""

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
_SHOWN = 8


class Bars:
    """A bar for all, and one for each image that is being copied, eight at most."""

    def __init__(self, console: Console) -> None:
        """Draw on *console*, nothing until there is a plan."""
        # rich's own refresh is a thread; under gevent it would stand still while something hashes.
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
        self._stop: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bars away."""
        self._end()

    def on_plan(self, plan: Plan) -> None:
        """Set the totals of *plan*."""
        self._images = len(plan.pending)
        self._progress.update(self._total, description=self._counted(), total=plan.transfer_bytes or None)

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Take the bars away within the block."""
        drawn = self._stop is not None
        self._end()
        yield
        if drawn:
            self._draw()

    def on_start(self, change: Change) -> None:
        """Add the image's bar; the first one begins the drawing."""
        if self._stop is None:
            self._draw()
        name = str(change.source).partition("/")[2]
        self._tasks[change.destination] = self._progress.add_task(f"  {name}", total=change.size_bytes, visible=len(self._tasks) < _SHOWN)

    def _draw(self) -> None:
        self._progress.start()
        self._stop = call_every(_REFRESH_SECONDS, self._progress.refresh)

    def _end(self) -> None:
        if self._stop is not None:
            self._stop()
            self._stop = None
            self._progress.stop()

    def on_bytes(self, change: Change, size_bytes: int) -> None:
        """Move the image's bar and the total's."""
        self._progress.advance(self._total, size_bytes)
        self._progress.advance(self._tasks[change.destination], size_bytes)

    def on_finish(self, outcome: Outcome) -> None:
        """Take the image's bar away, and count it."""
        self._progress.remove_task(self._tasks.pop(outcome.change.destination))
        self._done += 1
        self._progress.update(self._total, description=self._counted())

    def _counted(self) -> str:
        many = self._done if self._images is None else self._images
        return f"{self._done}{'' if self._images is None else f' of {self._images}'} {'image' if many == 1 else 'images'}"
