"""Faults to stderr, and to GitHub's annotations when run in its Actions."""

from __future__ import annotations

import os

import click

from imgsync.errors import Fault
from imgsync.render.faults import fault_lines, workflow_commands


def print_faults(faults: tuple[Fault, ...], *, files: int = 0) -> None:
    """Print every fault, and how many there are."""
    for line in fault_lines(faults, files=files):
        click.echo(line, err=True)
    if os.environ.get("GITHUB_ACTIONS"):
        for line in workflow_commands(faults):
            click.echo(line, err=True)
