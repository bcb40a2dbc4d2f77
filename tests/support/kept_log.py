"""A log that a test keeps."""

from __future__ import annotations


class KeptLog(list[tuple[str, dict[str, object]]]):
    """The events that were logged, each with its fields."""

    def info(self, event: str, **fields: object) -> None:
        """Keep one line."""
        self.append((event, fields))

    debug = warning = error = info

    @property
    def names(self) -> list[str]:
        """Return the events alone."""
        return [event for event, _ in self]
