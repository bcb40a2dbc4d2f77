"""`imgsync plan`: show what would change."""

from __future__ import annotations

from typing import Any

import click

from imgsync.cli.options import (
    config_options,
    heartbeat_option,
    lock_options,
    option,
    output_option,
    parse_common_options,
    parse_lock_use,
    paths_argument,
    refresh_option,
    run_options,
)
from imgsync.cli.other_side_options import other_side_options


@click.command("plan")
@paths_argument
@output_option("table", "json", "markdown", "gitlab")
@option("--all", "show_kept", is_flag=True, help="Also show tags that are up to date.")
@option("--explain", is_flag=True, help="Show what each filter kept and dropped.")
@option("--out", metavar="FILE", default=None, help="Save the plan for `apply --plan`.")
@option("--changed-since", metavar="GITREF", default=None, help="Only mirrors that changed since this commit.")
@refresh_option
@other_side_options
@lock_options
@option("--detailed-exitcode", is_flag=True, help="Exit 2 if changes are pending.")
@heartbeat_option
@config_options
@run_options
def command(paths: tuple[str, ...], only: tuple[str, ...], **options: Any) -> int:
    """
    Show what would change and why. Nothing is changed.

    With --have or --since, the destinations are not contacted: the plan is that of
    `imgsync bundle create`.
    """
    common, lock = parse_common_options(options), parse_lock_use(options)
    from imgsync.cli.plan_run import PlanOptions, run_plan

    names = ("output", "refresh", "show_kept", "explain", "out", "changed_since", "detailed_exitcode", "heartbeat", "have", "since")
    _, exit_code = run_plan(paths, only, PlanOptions(**{name: options[name] for name in names}, lock=lock), common)
    return exit_code
