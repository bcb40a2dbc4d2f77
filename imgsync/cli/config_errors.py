"""Print configuration errors and warnings."""

from __future__ import annotations

import os
from collections.abc import Iterable

from imgsync.cli.output import get_redaction, write_note
from imgsync.errors import FileError
from imgsync.render.config_errors import render_annotations, render_error, render_errors
from imgsync.text.redaction import Redaction


def print_config_errors(errors: tuple[FileError, ...], redaction: Redaction) -> None:
    """Print each error, then their number."""
    _write(render_errors(errors), redaction)
    _annotate(errors, "error", redaction)


def print_config_warnings(warnings: Iterable[FileError]) -> None:
    """Print each warning."""
    warnings = sorted(warnings)
    redaction = get_redaction()
    _write((f"warning: {render_error(warning)}" for warning in warnings), redaction)
    _annotate(warnings, "warning", redaction)


def _annotate(errors: Iterable[FileError], level: str, redaction: Redaction) -> None:
    if os.environ.get("GITHUB_ACTIONS"):
        _write(render_annotations(errors, level), redaction)


def _write(lines: Iterable[str], redaction: Redaction) -> None:
    for line in lines:
        write_note(line, redaction)
