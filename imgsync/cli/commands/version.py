"""`imgsync version`: show the version."""

from __future__ import annotations

import platform

import click

import imgsync
from imgsync.cli.options import output_option
from imgsync.cli.output import print_json, print_line


@click.command("version")
@output_option("table", "json")
@click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
def command(output: str, as_json: bool) -> int:
    """Show the version; as JSON, with those of Python and the system."""
    if as_json or output == "json":
        print_json({"version": imgsync.__version__, "python": platform.python_version(), "platform": platform.platform()})
    else:
        print_line(f"imgsync {imgsync.__version__}")
    return 0
