"""`imgsync schema`: print the JSON schemas."""

from __future__ import annotations

import click

from imgsync.cli.output import print_text


@click.command("schema")
@click.argument("name", type=click.Choice(["mirror", "registries"]), default="mirror")
def command(name: str) -> int:
    """Print the JSON schema of mirrors.d files, or of registries.yaml."""
    from imgsync.config.schema_check import read_schema

    print_text(read_schema(name))
    return 0
