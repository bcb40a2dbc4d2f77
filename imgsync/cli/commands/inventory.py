"""`imgsync inventory`: write down what registries hold."""

from __future__ import annotations

from typing import Any

import click

from imgsync.cli.options import REGISTRIES_HELP, option, parse_common_options, run_options


@click.command("inventory")
@click.argument("places", nargs=-1, required=True, metavar="REGISTRY[/NAMESPACE|/REPOSITORY]...")
@option("--out", metavar="FILE", required=True, help="The file to write.")
@option("--registries", metavar="FILE", help=REGISTRIES_HELP)
@run_options
def command(places: tuple[str, ...], out: str, **options: Any) -> int:
    """
    Write down which tags, manifests and blobs registries hold.

    `imgsync bundle create --have FILE` leaves them out of a bundle. Manifests are
    read, blobs are not. A tag that the state describes needs no manifest.
    """
    common = parse_common_options(options)
    from imgsync.cli.inventory_run import run_inventory

    return run_inventory(places, out, common)
