"""Configuration errors as text and as annotations for GitHub Actions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imgsync.errors import FileError
from imgsync.text.sanitize import sanitize_line, sanitize_short
from imgsync.text.units import format_count


def render_error(error: FileError) -> str:
    """Return *error* on one line."""
    return sanitize_short(str(error))


def render_errors(errors: Sequence[FileError]) -> list[str]:
    """Return one line per error and a last one with their number."""
    files = len({error.file for error in errors})
    return [*map(render_error, errors), f"{format_count(len(errors), 'error')} in {format_count(files, 'file')}"]


def render_annotations(errors: Iterable[FileError], level: str = "error") -> list[str]:
    """Return a workflow command per error; GitHub shows it beside its line."""
    found = []
    for error in errors:
        message = f"{error.path}: {error.message}" if error.path else error.message
        text = sanitize_short(f"{message} ({error.hint})" if error.hint else message)
        place = f",line={error.line},col={error.column}" if error.line else ""
        found.append(f"::{level} file={_escape_property(error.file)}{place},title=imgsync::{_escape_data(text)}")
    return found


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(sanitize_line(text)).replace(":", "%3A").replace(",", "%2C")
