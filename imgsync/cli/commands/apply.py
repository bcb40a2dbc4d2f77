"""`imgsync apply`: copy what is missing or outdated."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.options import (
    apply_options,
    config_options,
    option,
    output_option,
    parse_apply_options,
    parse_common_options,
    paths_argument,
    refresh_option,
    run_options,
)

if TYPE_CHECKING:
    from imgsync.cli.options import ApplyOptions, CommonOptions
    from imgsync.config.model import Config
    from imgsync.plan.model import Plan


@click.command("apply")
@paths_argument
@output_option("table", "json", "markdown")
@option("--plan", "plan_file", metavar="FILE", default=None, help="Apply exactly this plan, which `plan --out` saved.")
@option("-y", "--yes", "--auto-approve", is_flag=True, help="Do not ask before applying. Without a terminal, or with CI set, nothing is asked.")
@option("--dry-run", is_flag=True, help="Only plan, like `imgsync plan`: same output, same exit codes.")
@refresh_option
@apply_options
@option(
    "--requeue",
    metavar="TARGET",
    default=None,
    help="If work is left, start the next run: github, gitlab, travis, the URL of a webhook, or a command.",
)
@option("--requeue-limit", type=click.IntRange(min=0), default=20, show_default=True, help="Maximum consecutive requeued runs.")
@config_options
@run_options
def command(paths: tuple[str, ...], only: tuple[str, ...], output: str, plan_file: str | None, dry_run: bool, **options: Any) -> int:
    """
    Plan, then copy missing and changed images, and delete pruned tags.

    On a terminal, asks before it changes anything, except with --plan: a saved plan was reviewed.
    """
    common = parse_common_options(options)
    apply = parse_apply_options(output, options)
    if dry_run:
        return _run_dry(paths, only, apply, common, plan_file=plan_file)
    from imgsync.cli.apply_run import run_apply
    from imgsync.cli.session import open_session
    from imgsync.config.load import load_config

    config = load_config(paths, registries=common.registries, environ=os.environ, only=only)
    saved = None
    if plan_file is not None:
        saved, config = _read_plan(plan_file, config, refresh=apply.refresh)
    with open_session(config.registries, common, read_only=False, grace_seconds=apply.grace_seconds) as session:
        return run_apply(session, config, apply, saved=saved)


def _run_dry(paths: tuple[str, ...], only: tuple[str, ...], apply: ApplyOptions, common: CommonOptions, *, plan_file: str | None) -> int:
    """Plan, and check the safety limits as `apply` does."""
    from imgsync.cli.output import print_note
    from imgsync.cli.plan_run import PlanOptions, run_plan
    from imgsync.errors import UsageError
    from imgsync.plan.safety import SafetyLimits

    if plan_file is not None:
        raise UsageError("--dry-run makes a new plan, so it cannot be combined with --plan", hint="`imgsync show FILE` prints the saved plan")
    if any(apply.files):
        print_note("note: nothing is applied, so no report file is written")
    plan, exit_code = run_plan(paths, only, PlanOptions(output=apply.output, refresh=apply.refresh, heartbeat=apply.heartbeat_seconds), common)
    SafetyLimits(apply.max_changes, apply.max_bytes).raise_if_unsafe(plan)
    return exit_code


def _read_plan(path: str, config: Config, *, refresh: bool) -> tuple[Plan, Config]:
    """Return the saved plan, and the part of *config* it covers."""
    from imgsync.config.only import parse_only
    from imgsync.documents.envelope import read_document
    from imgsync.documents.plan import check_compared, check_made_for, decode_plan, read_only
    from imgsync.errors import UsageError

    if refresh:
        raise UsageError("--refresh has no effect on a saved plan", hint="remove --plan or --refresh")
    if any(pattern.is_part for pattern in config.only):
        raise UsageError("--only cannot select images of a saved plan", hint="make the plan with this --only: imgsync plan --out FILE")
    document = read_document(path)
    plan = decode_plan(document, name=path)
    check_compared(plan, name=path)
    planned = check_made_for(document, config, name=path)
    only = parse_only(read_only(document, name=path))
    covered = config.filter(lambda mirror: mirror.name in planned)
    # What the plan did not select stays as the last run left it.
    return plan, replace(covered, only=only, is_complete=covered.is_complete and not only)
