"""Print configuration errors."""

from __future__ import annotations

from collections.abc import Iterable

from imgsync.cli.ci_log import write_annotations
from imgsync.cli.output import get_redaction, write_wrapped
from imgsync.errors import FileError
from imgsync.render.annotations import annotate_file_errors
from imgsync.render.config_errors import render_error, render_errors
from imgsync.text.redaction import Redaction


def print_config_errors(errors: tuple[FileError, ...], redaction: Redaction) -> None:
    """Print each error, then their number."""
    _write(render_errors(errors), redaction)
    write_annotations(annotate_file_errors(errors), redaction)


def print_config_warnings(warnings: Iterable[FileError]) -> None:
    """Print each warning."""
    warnings = sorted(warnings)
    redaction = get_redaction()
    _write((f"warning: {render_error(warning)}" for warning in warnings), redaction)
    write_annotations(annotate_file_errors(warnings), redaction, level="warning")


def _write(lines: Iterable[str], redaction: Redaction) -> None:
    for line in lines:
        write_wrapped(line, redaction)
