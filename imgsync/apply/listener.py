"""The interface through which a run reports its progress."""

from __future__ import annotations

from typing import Protocol

from imgsync.apply.report import Outcome
from imgsync.plan.model import Change, Plan


class ProgressListener(Protocol):
    """Receives the events of a run, from several greenlets."""

    def on_plan(self, plan: Plan) -> None:
        """Receive the plan; some changes may be done already."""

    def on_start(self, change: Change) -> None:
        """Receive the start of a copy."""

    def on_size(self, change: Change, size_bytes: int) -> None:
        """Add to what the image has to move; may be negative."""

    def on_found(self, size_bytes: int) -> None:
        """Receive planned bytes that the destination turned out to have."""

    def on_bytes(self, change: Change, size_bytes: int) -> None:
        """Count transferred bytes; negative when a retry starts over."""

    def on_shared_bytes(self, size_bytes: int) -> None:
        """Count transferred bytes of a blob that is copied apart from images."""

    def on_finish(self, outcome: Outcome) -> None:
        """Receive the result of a copy or a deletion."""
