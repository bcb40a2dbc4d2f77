"""`imgsync apply`: make the destinations serve what is declared."""

from __future__ import annotations

import os
from typing import Any

import click

from imgsync.cli.options import DEFAULT_PATH, apply_options, common_of, config_options, output_option, paths_argument, refresh_option, run_options


@click.command("apply")
@paths_argument
@output_option
@refresh_option
@apply_options
@config_options
@run_options
def command(paths: tuple[str, ...], only: tuple[str, ...], output: str, **options: Any) -> int:
    """Plan, then copy what is missing or has moved, by digest."""
    common = common_of(options)
    from imgsync.cli.session import open_session, run_apply
    from imgsync.config.load import load_config

    config = load_config(paths or (DEFAULT_PATH,), registries=common.registries, environ=os.environ, only=only)
    with open_session(config.trust, common, read_only=False) as session:
        return run_apply(session, config, output=output, refresh=options["refresh"], options=options)
