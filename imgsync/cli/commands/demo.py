"""`imgsync demo`: the main job from nothing."""

from __future__ import annotations

import click

from imgsync.cli.options import option


@click.command("demo")
@option("--directory", metavar="DIR", default=None, help="Keep the demo's files here. Default: a temporary folder, removed at the end.")
def command(directory: str | None) -> int:
    """Show validate, plan and apply on two embedded registries on loopback; it ends by itself."""
    from imgsync.demo.walkthrough import run_demo

    return run_demo(directory, echo=click.echo)
