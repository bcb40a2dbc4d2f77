"""Print configuration errors."""

from __future__ import annotations

import os

from imgsync.cli.output import write_note
from imgsync.errors import FileError
from imgsync.render.config_errors import render_annotations, render_errors
from imgsync.text.redaction import Redaction


def print_config_errors(errors: tuple[FileError, ...], redaction: Redaction) -> None:
    """Print each error, then their number."""
    for line in render_errors(errors):
        write_note(line, redaction)
    if os.environ.get("GITHUB_ACTIONS"):
        for line in render_annotations(errors):
            write_note(line, redaction)
