"""The logger interface that other packages use; docs/reference/logs.md lists the events."""

from __future__ import annotations

from typing import Protocol


class Logger(Protocol):
    """A bound logger: an event name, and fields."""

    def debug(self, event: str, **fields: object) -> object:
        """Log a detail."""

    def info(self, event: str, **fields: object) -> object:
        """Log a fact."""

    def warning(self, event: str, **fields: object) -> object:
        """Log something that needs attention."""

    def error(self, event: str, **fields: object) -> object:
        """Log a failure."""
