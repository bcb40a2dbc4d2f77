"""`imgsync demo`: run a demo on two built-in registries."""

from __future__ import annotations

import click

from imgsync.cli.options import option
from imgsync.cli.output import print_line


@click.command("demo")
@option("--directory", metavar="DIR", default=None, help="Keep the files here. Default: a temporary directory, removed at the end.")
def command(directory: str | None) -> int:
    """Run validate, plan and apply on two built-in registries on loopback."""
    from imgsync.demo.walkthrough import run_demo
    from imgsync.system.early_signals import raise_at_interrupt

    raise_at_interrupt()
    return run_demo(directory, echo=print_line)
