"""
Set up the log.

Writes one JSON object per line, or readable lines on a terminal. Secrets are redacted here, in one place. Spec: docs/reference/logs.md.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection
from typing import Any

from imgsync.logs.event_logger import EventLogger
from imgsync.logs.stream import Stream
from imgsync.system.terminal import can_redraw, has_colour, read_size
from imgsync.text.redaction import Redaction
from imgsync.text.sanitize import sanitize_json, sanitize_line

_STDERR = 2
_Event = dict[str, Any]


def configure_logging(*, level: str | None, form: str, stream: Stream, redaction: Redaction, shown: Collection[str] = ()) -> EventLogger:
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
    for name in ("httpx", "httpcore", "filelock", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    console = is_console(form, stream)
    render = _make_console_renderer(stream) if console else _render_json
    hidden = shown if console else ()

    def write(head: dict[str, str], fields: dict[str, object]) -> None:
        if head["event"] not in hidden:
            cleaned = {name: redaction.clean_values(value) for name, value in fields.items() if name != "hint" or value != ""}
            stream.write(f"{render({**head, **cleaned, **head})}\n")
            stream.flush()

    return EventLogger(write, level=level or _choose_level(console=console, stream=stream))


def is_console(form: str, stream: Stream) -> bool:
    """Return whether *form* means readable lines; "auto" does on a terminal."""
    return form == "console" or (form == "auto" and stream.isatty())


def _make_console_renderer(stream: Stream) -> Callable[[_Event], str]:
    # Imported now: most runs write JSON.
    from imgsync.logs.console_lines import ConsoleLines

    lines = ConsoleLines(coloured=has_colour(stream), find_width=lambda: read_size(_STDERR).columns if stream.isatty() else None)
    return lambda event: lines.render({name: _sanitize_value(value) for name, value in event.items()})


def _render_json(event: _Event) -> str:
    return sanitize_json(json.dumps(event, default=repr))


def _choose_level(*, console: bool, stream: Stream) -> str:
    # Bars and the report already show what "info" logs.
    return "warning" if console and can_redraw(stream) else "info"


def _sanitize_value(value: object) -> object:
    """Sanitize all text in a field."""
    # Not the rendered line, which has escapes for colours.
    if isinstance(value, str):
        return sanitize_line(value)
    if isinstance(value, dict):
        return {_sanitize_value(name): _sanitize_value(one) for name, one in value.items()}
    return [_sanitize_value(one) for one in value] if isinstance(value, list | tuple) else value
