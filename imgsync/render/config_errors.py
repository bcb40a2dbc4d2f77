"""Configuration errors as text."""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.errors import FileError
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_count


def render_error(error: FileError) -> str:
    """Return *error* on one line."""
    return sanitize_short(str(error))


def render_errors(errors: Sequence[FileError]) -> list[str]:
    """Return one line per error and a last one with their number."""
    files = len({error.file for error in errors})
    return [*map(render_error, errors), f"{format_count(len(errors), 'error')} in {format_count(files, 'file')}"]
