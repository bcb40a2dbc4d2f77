"""
Set up structlog.

Writes one JSON object per line, or readable lines on a terminal. Secrets are redacted here, in one place. Spec: docs/reference/logs.md.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import partial
from typing import Any, TextIO, cast

from imgsync.logs.stream import Stream
from imgsync.system.lazy_import import leave_out
from imgsync.system.terminal import can_redraw, has_colour, read_size
from imgsync.text.redaction import Redaction
from imgsync.text.sanitize import sanitize_json, sanitize_line

# Coloured lines and tracebacks, what the standard library's loggers need, and asyncio for loggers in coroutines: imgsync has none of them.
_UNUSED = ("structlog.dev", "structlog.tracebacks", "structlog.stdlib", "structlog.testing", "structlog.threadlocal", "asyncio")
with leave_out(*_UNUSED):
    import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_STDERR = 2
_Event = dict[str, Any]


def configure_logging(*, level: str | None, form: str, stream: Stream, redaction: Redaction, shown: Collection[str] = ()) -> Any:
    """
    Return the logger of this run.

    Args:
        level: One of `LEVELS`; None for "warning" where progress is shown in place, else "info".

        form: "json", "console" or "auto", as for `is_console`.

        stream: Where lines are written.

        redaction: Removes secrets from every field.

        shown: Events that the result on stdout shows; they are not repeated as readable lines.
    """
    # These libraries log whole URLs, which may contain signatures.
    for name in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    console = is_console(form, stream)
    processors: list[Any] = [
        *([partial(_drop_events, shown)] if console else []),
        lambda _logger, _name, event: {key: value if key == "event" else redaction.clean_values(value) for key, value in event.items()},
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        _drop_empty_hint,
        *(_build_console_processors(stream) if console else _build_json_processors()),
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level or _choose_level(console=console, stream=stream)]),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", stream)),
        cache_logger_on_first_use=False,
    )
    # Bound: the logger that `get_logger` returns is a proxy, which binds again at each call.
    return structlog.get_logger().bind()


def is_console(form: str, stream: Stream) -> bool:
    """Return whether *form* means readable lines; "auto" does on a terminal."""
    return form == "console" or (form == "auto" and stream.isatty())


def _build_console_processors(stream: Stream) -> list[Any]:
    # Imported now: most runs write JSON.
    from imgsync.logs.console_lines import ConsoleLines

    lines = ConsoleLines(coloured=has_colour(stream), find_width=lambda: read_size(_STDERR).columns if stream.isatty() else None)
    return [lambda _logger, _name, event: {key: _sanitize_value(value) for key, value in event.items()}, lines]


def _build_json_processors() -> list[Any]:
    return [_order_fields, structlog.processors.JSONRenderer(ensure_ascii=True), lambda _logger, _name, line: sanitize_json(line)]


def _choose_level(*, console: bool, stream: Stream) -> str:
    # Bars and the report already show what "info" logs.
    return "warning" if console and can_redraw(stream) else "info"


def _drop_events(names: Collection[str], _logger: object, _name: str, event: _Event) -> _Event:
    if event["event"] in names:
        raise structlog.DropEvent
    return event


def _drop_empty_hint(_logger: object, _name: str, event: _Event) -> _Event:
    if event.get("hint") == "":
        del event["hint"]
    return event


def _order_fields(_logger: object, _name: str, event: _Event) -> _Event:
    head: _Event = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**head, **event}


def _sanitize_value(value: object) -> object:
    """Sanitize all text in a field."""
    # Not the rendered line: structlog adds escapes for colours.
    if isinstance(value, str):
        return sanitize_line(value)
    if isinstance(value, dict):
        return {_sanitize_value(name): _sanitize_value(one) for name, one in value.items()}
    return [_sanitize_value(one) for one in value] if isinstance(value, list | tuple) else value
