"""Render an event for people: time, level, name and fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from imgsync.system.dataclass import dataclass

_INDENT = "  "
_LEVELS = {"debug": "2", "info": "32", "warning": "33", "error": "31"}
_DIM, _BOLD, _KEY = "2", "1", "36"


@dataclass(frozen=True, slots=True)
class _Word:
    """Text that stays on one line; each part may have a colour."""

    parts: tuple[tuple[str, str], ...]

    @property
    def width(self) -> int:
        return sum(len(text) for text, _ in self.parts)

    def render(self, *, coloured: bool) -> str:
        return "".join(f"\x1b[{colour}m{text}\x1b[0m" if coloured and colour else text for text, colour in self.parts)


class ConsoleLines:
    """Renders events as text."""

    def __init__(self, *, coloured: bool, find_width: Callable[[], int | None]) -> None:
        """Wrap at what *find_width* returns; None for lines of any length."""
        self._coloured = coloured
        self._find_width = find_width

    def __call__(self, _logger: object, _name: str, event: dict[str, Any]) -> str:
        """Return *event*, sanitized, without a line break at its end."""
        lines: list[list[_Word]] = [[]]
        room = width = self._find_width()
        for word in _split(event):
            if room is not None and width is not None and lines[-1] and word.width > room:
                lines.append([])
                room = width - len(_INDENT)
            room = None if room is None else room - word.width - 1
            lines[-1].append(word)
        return f"\n{_INDENT}".join(" ".join(word.render(coloured=self._coloured) for word in line) for line in lines)


def _split(event: dict[str, Any]) -> Iterator[_Word]:
    level = str(event.pop("level", ""))
    yield _Word(((_shorten_time(str(event.pop("timestamp", ""))), _DIM),))
    yield _Word(((level, _LEVELS.get(level, "")),))
    yield _Word(((str(event.pop("event", "")), _BOLD),))
    # The message of an error begins with what it is about.
    error, about = str(event.get("error", "")), ("operation", "reference")
    repeated = about if error.startswith("".join(f"{event.get(key, '')} " for key in about)) else ()
    for key, value in event.items():
        if value is not None and key not in repeated:
            first, *more = _format_value(value).split(" ")
            yield _Word(((f"{key}=", _KEY), (first, "")))
            yield from (_Word(((text, ""),)) for text in more)


def _shorten_time(timestamp: str) -> str:
    """Return the time of an RFC 3339 timestamp in UTC."""
    return f"{timestamp[11:19]}Z"


def _format_value(value: object) -> str:
    """Return *value* as text, in quotes unless it is one word."""
    if isinstance(value, str):
        return value if value and " " not in value else f'"{value}"'
    return json.dumps(value, ensure_ascii=False, default=str)
