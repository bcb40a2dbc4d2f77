"""`imgsync login-check`: check credentials and permissions at each registry."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any

import click

from imgsync.cli.options import config_options, output_option, parse_common_options, paths_argument, run_options


@click.command("login-check")
@paths_argument
@output_option("table", "json")
@config_options
@run_options
def command(paths: tuple[str, ...], only: tuple[str, ...], output: str, **options: Any) -> int:
    """
    Check credentials and permissions at each registry.

    Shows which credentials are used, and whether they permit to pull or push. Nothing is changed.
    """
    common = replace(parse_common_options(options), state=None)
    from imgsync.cli.output import choose_layout, print_json, print_table
    from imgsync.cli.session import open_session
    from imgsync.cli.waiting import show_requests
    from imgsync.config.load import load_config
    from imgsync.documents.access import encode_access
    from imgsync.registries.login_check import check_logins
    from imgsync.render.access_table import render_access_table

    config = load_config(paths, registries=common.registries, environ=os.environ, only=only)
    with open_session(config.registries, common, read_only=True) as session, show_requests(session, verb="Checking logins"):
        found = session.finish(lambda: check_logins(config, session.registries, check=session.stop.raise_if_requested))
    if output == "json":
        print_json(encode_access(found))
    else:
        print_table(render_access_table(found, layout=choose_layout(sys.stdout)))
    return 1 if any(access.allowed is False for access in found) else 0
