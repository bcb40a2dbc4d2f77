"""
Logs: one JSON object per line on stderr, or a console form on a terminal; secrets hidden by value, in one place.

Spec: design.md §5.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol, TextIO, cast

from imgsync.concurrency.greenlets import Event, spawn
from imgsync.concurrency.native_thread import run_in_thread
from imgsync.system.lazy_import import without
from imgsync.system.stdio import discard, takes
from imgsync.text.redaction import Redaction
from imgsync.text.sanitize import sanitize_json, sanitize_line

with without("rich", "better_exceptions"):
    # For tracebacks in colour, of which there are none.
    import structlog

_WAITING_BYTES = 8 << 20
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Stream(Protocol):
    """Where lines go."""

    def write(self, text: str, /) -> int:
        """Write *text*."""

    def flush(self) -> None:
        """Send off what is written."""

    def isatty(self) -> bool:
        """Return whether people read along."""


def configure_logging(*, level: str | None, form: str, stream: Stream, redaction: Redaction) -> Any:
    """
    Return the logger of this run, writing to *stream*.

    *level* is one of `LEVELS`, None for what suits the *form*, which is as `is_console` has it. Our libraries' own loggers are silenced: they print
    whole URLs, and with them signatures.
    """
    for name in ("httpx", "httpcore", "filelock", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    console = is_console(form, stream)
    processors: list[Any] = [
        lambda _logger, _name, event: {key: value if key == "event" else redaction.clean_values(value) for key, value in event.items()},
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        _without_nothing,
    ]
    if console:
        colours = stream.isatty() and not os.environ.get("NO_COLOR")
        processors.append(lambda _logger, _name, event: {key: _inert_values(value) for key, value in event.items()})
        processors.append(structlog.dev.ConsoleRenderer(colors=colours, sort_keys=False, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback))
    else:
        processors += [_in_order, structlog.processors.JSONRenderer(ensure_ascii=True), lambda _logger, _name, line: sanitize_json(line)]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level or _default_level(console=console, stream=stream)]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", stream)),
        cache_logger_on_first_use=False,
    )
    return structlog.get_logger()


def is_console(form: str, stream: Stream) -> bool:
    """Return whether *form* ("json", "console", or "auto": console on a terminal) means lines for people."""
    return form == "console" or (form == "auto" and stream.isatty())


class LogStream:
    """
    Whatever sys.stderr is when a line is written: progress bars put themselves in its place, to keep below the lines.

    A reader that does not take a line at once holds nobody up: the line waits, up to 8 MiB of them; what is more is dropped, and
    `on_dropped` told how many lines that were once the reader goes on. One that is gone gets no more.
    """

    def __init__(self) -> None:
        """Begin with nothing waiting."""
        self.on_dropped: Callable[[int], None] = lambda _: None
        self._waiting: list[str] = []
        self._waiting_bytes = 0
        self._dropped = 0
        self._idle = Event()
        self._idle.set()

    def write(self, text: str) -> int:
        """Write *text*, now or later."""
        if self._idle.is_set() and takes(sys.stderr, len(text)):
            _put(text)
        elif self._waiting_bytes + len(text) > _WAITING_BYTES:
            self._dropped += text.count("\n")
        else:
            self._waiting.append(text)
            self._waiting_bytes += len(text)
            if self._idle.is_set():
                self._idle.clear()
                spawn(self._drain)
        return len(text)

    def flush(self) -> None:
        """Do nothing: what can be written is written."""

    def isatty(self) -> bool:
        """Return whether people read along."""
        return sys.stderr.isatty()

    def drained(self) -> None:
        """Return once all is written that waited."""
        self._idle.wait()

    def _drain(self) -> None:
        while self._waiting:
            text = "".join(self._waiting)
            self._waiting.clear()
            run_in_thread(lambda text=text: _put(text))  # type: ignore[misc]
            self._waiting_bytes -= len(text)
        self._idle.set()
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self.on_dropped(dropped)


def _put(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except BrokenPipeError:
        # Nobody reads any more: that is no reason to leave images uncopied.
        discard(sys.stderr)


def _default_level(*, console: bool, stream: Stream) -> str:
    # On a terminal the bars and the report tell what a log's lines tell elsewhere.
    return "warning" if console and stream.isatty() else "info"


def _without_nothing(_logger: object, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    """Leave out hints that say nothing."""
    if event.get("hint") == "":
        del event["hint"]
    return event


def _in_order(_logger: object, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    head: dict[str, Any] = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**head, **event}


def _inert_values(value: object) -> object:
    """Return *value*, of a field, with every text in it inert: what it is drawn as holds escapes for colours, which are structlog's own."""
    if isinstance(value, str):
        return sanitize_line(value)
    if isinstance(value, dict):
        return {_inert_values(name): _inert_values(one) for name, one in value.items()}
    return [_inert_values(one) for one in value] if isinstance(value, list | tuple) else value
