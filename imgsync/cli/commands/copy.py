"""`imgsync copy`: one image or one repository, no file needed."""

from __future__ import annotations

import os
from typing import Any

import click

from imgsync.cli.options import apply_options, common_of, option, output_option, parse_apply_options, refresh_option, run_options


@click.command("copy")
@click.argument("source")
@click.argument("destination")
@option("--platform", multiple=True, metavar="OS/ARCH", help="Only this platform of an index; may be repeated.")
@option("--registries", metavar="FILE", help="The trust: how registries are reached. Default: registries.yaml, if there is one.")
@output_option("table", "json", "markdown")
@refresh_option
@apply_options
@run_options
def command(source: str, destination: str, platform: tuple[str, ...], output: str, **options: Any) -> int:
    """Copy the image SOURCE (or, without a tag, the whole repository) to DESTINATION."""
    common = common_of(options)
    apply = parse_apply_options(output, options)
    from imgsync.cli.apply_run import run_apply
    from imgsync.cli.session import open_session
    from imgsync.config.copy_config import copy_config
    from imgsync.config.load import load_registries

    config = copy_config(source, destination, registries=load_registries(common.registries, os.environ), platforms=platform)
    with open_session(config.registries, common, read_only=False) as session:
        return run_apply(session, config, apply)
