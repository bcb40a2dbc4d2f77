"""Print configuration errors."""

from __future__ import annotations

import os

import click

from imgsync.errors import FileError
from imgsync.render.config_errors import render_annotations, render_errors


def print_config_errors(errors: tuple[FileError, ...]) -> None:
    """Print each error, then their number."""
    for line in render_errors(errors):
        click.echo(line, err=True)
    if os.environ.get("GITHUB_ACTIONS"):
        for line in render_annotations(errors):
            click.echo(line, err=True)
