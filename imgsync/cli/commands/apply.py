"""`imgsync apply`: copy what is missing or outdated."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.options import (
    Duration,
    apply_options,
    broker_options,
    config_options,
    is_on_command_line,
    lock_options,
    option,
    output_option,
    parse_apply_options,
    parse_common_options,
    parse_lock_use,
    paths_argument,
    refresh_option,
    run_options,
)

if TYPE_CHECKING:
    from imgsync.cli.options import ApplyOptions, CommonOptions, LockUse


@click.command("apply")
@paths_argument
@output_option("table", "json", "markdown")
@option("--plan", "plan_file", metavar="FILE", default=None, help="Apply exactly this plan, which `plan --out` saved.")
@option("--shard", metavar="I/N|auto|shared", default=None, help="With --plan: apply only this part of it. `auto` takes part and number from the CI job.")
@option("--outcome", metavar="FILE", default=None, help="Where a shard writes what it did, for `imgsync combine`.")
@option(
    "--shared-wait",
    type=Duration(),
    default="30s",
    show_default=True,
    help="How long a shard waits for blobs that other shards are to copy, before it copies them.",
)
@broker_options(None)
@option("--window", type=click.IntRange(min=1, max=1000), default=32, show_default=True, help="With --broker: the most batches that are out at a time.")
@option("-y", "--yes", "--auto-approve", is_flag=True, help="Do not ask before applying. Without a terminal, or with CI set, nothing is asked.")
@option("--dry-run", is_flag=True, help="Only plan, like `imgsync plan`: same output, same exit codes.")
@refresh_option
@lock_options
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
def command(
    paths: tuple[str, ...],
    only: tuple[str, ...],
    output: str,
    plan_file: str | None,
    dry_run: bool,
    shard: str | None,
    outcome: str | None,
    shared_wait: float,
    **options: Any,
) -> int:
    """
    Plan, then copy missing and changed images, and delete pruned tags.

    On a terminal, asks before it changes anything, except with --plan: a saved plan was reviewed.
    """
    common, lock = parse_common_options(options), parse_lock_use(options)
    apply = parse_apply_options(output, options)
    if shard is not None or outcome is not None:
        _check_shard(shard, outcome, apply, plan_file=plan_file, dry_run=dry_run)
    broker = options["broker"]
    if broker is not None:
        _check_fleet(shard, dry_run=dry_run)
    if dry_run:
        return _run_dry(paths, only, apply, common, plan_file=plan_file, lock=lock)
    from imgsync.cli.accepted_documents import read_accepted_documents
    from imgsync.cli.apply_run import run_apply
    from imgsync.cli.session import open_session
    from imgsync.config.load import load_config

    accepted = read_accepted_documents(common.state)
    config = load_config(paths, registries=common.registries, environ=os.environ, only=only, accepted=accepted)
    saved = None
    if plan_file is not None:
        from imgsync.cli.saved_plan import read_saved_plan

        _check_no_refresh(refresh=apply.refresh)
        _check_no_lock(lock)
        saved, config = read_saved_plan(plan_file, config)
    if saved is not None and shard is not None and outcome is not None:
        from imgsync.cli.shard_run import ShardOptions, run_shard

        return run_shard(saved, config, apply, common, shard=ShardOptions(shard, outcome, shared_wait))
    locks = lock.read(config) if saved is None else None
    with open_session(config.registries, common, read_only=False, grace_seconds=apply.grace_seconds) as session:
        accepted.save()
        if broker is None:
            return run_apply(session, config, apply, saved=saved, locks=locks)
        from imgsync.cli.fleet_run import FleetRunOptions, run_fleet

        return run_fleet(session, config, apply, saved=saved, fleet=FleetRunOptions(broker, options["queue"], options["window"]), locks=locks)


def _run_dry(paths: tuple[str, ...], only: tuple[str, ...], apply: ApplyOptions, common: CommonOptions, *, plan_file: str | None, lock: LockUse) -> int:
    """Plan, and check the safety limits as `apply` does."""
    from imgsync.cli.output import print_note
    from imgsync.cli.plan_run import PlanOptions, run_plan
    from imgsync.errors import UsageError
    from imgsync.plan.safety import SafetyLimits

    if plan_file is not None:
        raise UsageError("--dry-run makes a new plan, so it cannot be combined with --plan", hint="`imgsync show FILE` prints the saved plan")
    if any(apply.files):
        print_note("note: nothing is applied, so no report file is written")
    options = PlanOptions(output=apply.output, refresh=apply.refresh, heartbeat=apply.heartbeat_seconds, lock=lock)
    plan, exit_code = run_plan(paths, only, options, common)
    SafetyLimits(apply.max_changes, apply.max_bytes).raise_if_unsafe(plan)
    return exit_code


def _check_no_refresh(*, refresh: bool) -> None:
    from imgsync.errors import UsageError

    if refresh:
        raise UsageError("--refresh has no effect on a saved plan", hint="remove --plan or --refresh")


def _check_no_lock(lock: LockUse) -> None:
    from imgsync.errors import UsageError

    # A variable of the environment may be meant for the other commands of a job.
    if is_on_command_line("locked") or is_on_command_line("frozen"):
        hint = f"make the plan with it: imgsync plan {lock.option} --out FILE"
        raise UsageError(f"{lock.option} has no effect on a saved plan, which has its digests", hint=hint)


def _check_fleet(shard: str | None, *, dry_run: bool) -> None:
    from imgsync.errors import UsageError

    if shard is not None or dry_run:
        option = "--dry-run" if dry_run else "--shard"
        raise UsageError(f"--broker cannot be combined with {option}", hint=f"remove {option}, or --broker (IMGSYNC_BROKER)")
    from imgsync.cli.broker import require_queue_extra

    # Before anything that imports it.
    require_queue_extra()


def _check_shard(shard: str | None, outcome: str | None, apply: ApplyOptions, *, plan_file: str | None, dry_run: bool) -> None:
    """
    Check the options that a shard needs, and those that it excludes.

    Raises:
        UsageError: They do not fit together.
    """
    from imgsync.errors import UsageError

    needed = "imgsync apply --plan FILE --shard I/N --outcome FILE"
    if shard is None:
        raise UsageError("--outcome is what a shard writes, so it needs --shard", hint=needed)
    if plan_file is None:
        raise UsageError("--shard needs --plan: every shard must divide the same plan", hint=f"imgsync plan --out FILE, then {needed}")
    if outcome is None:
        raise UsageError("--shard needs --outcome: `imgsync combine` makes the report and the state from it", hint=needed)
    if apply.requeue or dry_run:
        option = "--requeue" if apply.requeue else "--dry-run"
        raise UsageError(f"--shard cannot be combined with {option}", hint="run the shard's job again for what is left" if apply.requeue else "remove it")
