"""`imgsync login-check`: who we are at each registry of the configuration, and what we may do there. It changes nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import click

from imgsync.cli.options import DEFAULT_PATH, common_of, config_options, output_option, paths_argument, run_options


@click.command("login-check")
@paths_argument
@output_option("table", "json")
@config_options
@run_options
def command(paths: tuple[str, ...], only: tuple[str, ...], output: str, **options: Any) -> int:
    """Tell who we are at each registry, and whether we may pull or push there; change nothing."""
    common = replace(common_of(options), state=None)
    from imgsync.cli.output import say_json, say_table
    from imgsync.cli.session import open_session
    from imgsync.config.load import load_config
    from imgsync.documents.access import access_document
    from imgsync.registries.login_check import check_access
    from imgsync.render.access_table import render_access_table

    config = load_config(paths or (DEFAULT_PATH,), registries=common.registries, environ=os.environ, only=only)
    with open_session(config.registries, common, read_only=True) as session:
        session.stop_in_time()
        found = check_access(config, session.registries, check=session.stop.raise_if_requested)
    if output == "json":
        say_json(access_document(found))
    else:
        say_table(render_access_table(found))
    return 1 if any(access.allowed is False for access in found) else 0
