"""
Logs: one JSON object per line on stderr, or a console form on a terminal; secrets hidden by value, in one place.

Spec: design.md §5.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

from imgsync.redaction import Redaction

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(*, level: str, form: str, stream: TextIO, redaction: Redaction) -> Any:
    """
    Return the logger of this run, writing to *stream*.

    *form* is "json", "console", or "auto": console on a terminal. Our libraries' own loggers are silenced: they print
    whole URLs, and with them signatures.
    """
    for name in ("httpx", "httpcore", "filelock", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    console = form == "console" or (form == "auto" and stream.isatty())
    processors: list[Any] = [
        lambda _logger, _name, event: {key: value if key == "event" else redaction.clean_values(value) for key, value in event.items()},
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        _without_nothing,
    ]
    if console:
        processors += [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        processors.append(lambda _logger, _name, line: _printable(str(line)))
    else:
        processors += [_in_order, structlog.processors.JSONRenderer(ensure_ascii=True)]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    return structlog.get_logger()


def to_stderr(*, level: str, form: str, redaction: Redaction) -> Any:
    """Return a logger to stderr."""
    return configure_logging(level=level, form=form, stream=sys.stderr, redaction=redaction)


def _without_nothing(_logger: object, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    """Leave out hints that say nothing."""
    if event.get("hint") == "":
        del event["hint"]
    return event


def _in_order(_logger: object, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    head: dict[str, Any] = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**head, **event}


def _printable(line: str) -> str:
    # Colour codes are structlog's own; foreign text has no control characters left by the time it is logged.
    return "".join(character if character.isprintable() or character in "\n\x1b" else repr(character)[1:-1] for character in line)
