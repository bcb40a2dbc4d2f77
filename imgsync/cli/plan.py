"""`imgsync plan`: what would change, how many bytes that would move, and why. It changes nothing."""

from __future__ import annotations

import os
from typing import Any

import click

from imgsync.cli.options import DEFAULT_PATH, common_of, config_options, option, output_option, paths_argument, refresh_option, run_options

_PENDING_EXIT = 2


@click.command("plan")
@paths_argument
@output_option
@option("--all", "show_kept", is_flag=True, help="Show kept tags too.")
@option("--explain", is_flag=True, help="Show how the filters chose: what each step left and dropped.")
@refresh_option
@option("--detailed-exitcode", is_flag=True, help="Exit 2 when changes are pending.")
@config_options
@run_options
def command(paths: tuple[str, ...], only: tuple[str, ...], output: str, **options: Any) -> int:
    """Show what would change, and why; change nothing."""
    common = common_of(options)
    from imgsync.cli.session import STOPPED_EXIT, open_session, print_plan
    from imgsync.config.load import load_config

    config = load_config(paths or (DEFAULT_PATH,), registries=common.registries, environ=os.environ, only=only)
    with open_session(config.trust, common, read_only=True) as session:
        session.stop_in_time()
        plan = session.plan(config, refresh=options["refresh"])
    print_plan(plan, output=output, show_kept=options["show_kept"], explain=options["explain"])
    if any(not error.later for error in plan.errors) or plan.counts["refuse"]:
        return 1
    if plan.errors:
        return STOPPED_EXIT
    return _PENDING_EXIT if options["detailed_exitcode"] and plan.pending else 0
