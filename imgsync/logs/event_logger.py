"""Write events of at least one level."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class EventLogger:
    """Passes the head and the fields of each event to a function."""

    def __init__(self, write: Callable[[dict[str, str], dict[str, object]], None], *, level: str) -> None:
        """Drop events below *level*, which is one of `LEVELS`."""
        self._write = write
        self._lowest = LEVELS[level]

    def debug(self, event: str, **fields: object) -> None:
        """Log a detail."""
        self._log("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log a fact."""
        self._log("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log something that needs attention."""
        self._log("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log a failure."""
        self._log("error", event, fields)

    def _log(self, level: str, event: str, fields: dict[str, object]) -> None:
        if LEVELS[level] >= self._lowest:
            moment = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            self._write({"timestamp": moment, "level": level, "event": event}, fields)
