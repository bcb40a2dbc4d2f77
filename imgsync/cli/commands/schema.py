"""`imgsync schema`: print the JSON schemas."""

from __future__ import annotations

import click

from imgsync.cli.output import print_text

_NAMES = ["mirror", "registries", "inventory", "bundle", "bundle-volume", "outcome", "batch", "outcomes", "references", "status", "mirrors", "runs", "run"]


@click.command("schema")
@click.argument("name", type=click.Choice(_NAMES), default="mirror")
def command(name: str) -> int:
    """Print a JSON schema, of mirrors.d by default."""
    from imgsync.config.schema_files import read_schema

    print_text(read_schema(name))
    return 0
