"""`imgsync schema`: print the JSON schemas."""

from __future__ import annotations

import click


@click.command("schema")
@click.argument("name", type=click.Choice(["mirror", "registries"]), default="mirror")
def command(name: str) -> int:
    """Print the JSON schema of mirrors.d files, or of registries.yaml."""
    from imgsync.config.schema_check import read_schema

    click.echo(read_schema(name), nl=False)
    return 0
