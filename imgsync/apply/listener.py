"""Who shows progress: bars or a heartbeat, told of everything while it happens."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from imgsync.apply.report import Outcome
from imgsync.plan.model import Change, Plan


class Watcher(Protocol):
    """Whoever shows progress."""

    def watch(self, plan: Plan) -> None:
        """This is all there is to do; some of it may be done already."""

    def started(self, change: Change) -> None:
        """One image begins."""

    def advanced(self, change: Change, size_bytes: int) -> None:
        """Bytes of one image moved; negative when a try began anew."""

    def finished(self, outcome: Outcome) -> None:
        """One image ended."""

    def paused(self) -> AbstractContextManager[None]:
        """Show nothing within the block: something else is printed."""
