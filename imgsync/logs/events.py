"""What the engine needs of a logger: events by name, with fields. Made in the command line, handed down."""

from __future__ import annotations

from typing import Protocol


class Log(Protocol):
    """A bound logger: an event's name and its fields."""

    def debug(self, event: str, **fields: object) -> object:
        """Log in detail."""

    def info(self, event: str, **fields: object) -> object:
        """Log a fact."""

    def warning(self, event: str, **fields: object) -> object:
        """Log what somebody should look at."""

    def error(self, event: str, **fields: object) -> object:
        """Log a failure."""
