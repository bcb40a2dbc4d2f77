"""A listener that ignores the progress of a copy."""

from __future__ import annotations

from imgsync.apply.report import Outcome
from imgsync.plan.listener import NoListener
from imgsync.plan.model import Change, Plan


class QuietListener(NoListener):
    """Ignores the events of a run: the coordinator shows them."""

    def on_plan(self, plan: Plan) -> None:
        """Ignore *plan*."""

    def on_start(self, change: Change) -> None:
        """Ignore the start of *change*."""

    def on_size(self, change: Change, size_bytes: int) -> None:
        """Ignore *size_bytes*."""

    def on_found(self, size_bytes: int) -> None:
        """Ignore *size_bytes*."""

    def on_bytes(self, change: Change, size_bytes: int) -> None:
        """Ignore *size_bytes*."""

    def on_shared_bytes(self, size_bytes: int) -> None:
        """Ignore *size_bytes*."""

    def on_finish(self, outcome: Outcome) -> None:
        """Ignore *outcome*."""
