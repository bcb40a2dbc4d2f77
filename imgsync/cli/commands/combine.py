"""`imgsync combine`: one report and one state from all shards."""

from __future__ import annotations

import os
from typing import Any

import click

from imgsync.cli.options import DEFAULT_PATH, REGISTRIES_HELP, complete_by, option, output_option, parse_common_options, report_options, run_options


@click.command("combine")
@click.argument("outcomes", nargs=-1, required=True, metavar="OUTCOME...", shell_complete=complete_by("complete_file"))
@output_option("table", "json", "markdown")
@option("--plan", "plan_file", metavar="FILE", required=True, help="The plan that the shards applied.")
@option("-f", "--file", "paths", multiple=True, metavar="PATH", help="The declarations the plan was made for; repeatable. Default: mirrors.d.")
@report_options
@option("--registries", metavar="FILE", help=REGISTRIES_HELP)
@run_options
def command(outcomes: tuple[str, ...], output: str, plan_file: str, paths: tuple[str, ...], **options: Any) -> int:
    """
    Combine the outcomes of all shards into one report, and record them.

    OUTCOME was written by `apply --shard I/N --outcome FILE`, also by the phase `shared`. Exits with the worst code of all, and 1 if a shard is missing.
    """
    common = parse_common_options(options)
    from imgsync.cli.combine_run import run_combine
    from imgsync.cli.options import ReportFiles
    from imgsync.cli.saved_plan import read_saved_plan
    from imgsync.config.load import load_config

    config = load_config(paths or (DEFAULT_PATH,), registries=common.registries, environ=os.environ)
    plan, covered = read_saved_plan(plan_file, config)
    files = ReportFiles(options["report"], options["metrics"], options["junit"])
    return run_combine(plan, covered, outcomes, common, plan_file=plan_file, output=output, files=files)
