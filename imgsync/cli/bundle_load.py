"""`imgsync bundle verify` and `imgsync bundle load`."""

from __future__ import annotations

from typing import Any

import click

from imgsync.cli.options import (
    REGISTRIES_HELP,
    apply_options,
    complete_by,
    config_options,
    heartbeat_option,
    option,
    output_option,
    parse_apply_options,
    parse_common_options,
    refresh_option,
    run_options,
)
from imgsync.cli.state_options import log_options

_volumes_option = option("--volumes", multiple=True, metavar="DIR", help="Another folder with volumes of the bundle, such as a second disk; repeatable.")


@click.command("load", short_help="Copy the images of a bundle to their destinations.")
@click.argument("folder", metavar="DIR", shell_complete=complete_by("complete_folder"))
@click.argument("paths", nargs=-1, metavar="[PATH]...", shell_complete=complete_by("complete_file"))
@_volumes_option
@output_option("table", "json", "markdown")
@option("-y", "--yes", "--auto-approve", is_flag=True, help="Do not ask before loading. Without a terminal, or with CI set, nothing is asked.")
@option("--dry-run", is_flag=True, help="Only plan, and check that nothing is missing.")
@option("--skip-missing", is_flag=True, help="Load the images that are complete, although others are not.")
@option("--allow-older", is_flag=True, help="Move tags back if the bundle is older than one that was loaded.")
@refresh_option
@apply_options
@config_options
@run_options
def load_bundle(folder: str, paths: tuple[str, ...], only: tuple[str, ...], output: str, **options: Any) -> int:
    """
    Copy the images of the bundle in DIR to their destinations.

    Like apply, with the bundle in place of every source: no source registry is
    contacted. Without PATH, each image goes where the bundle says, if `allow` in
    registries.yaml permits it. With PATH, the mirrors declared there select among
    the images of the bundle.

    Before anything is pushed, the signature of the bundle is checked, and whether
    its volumes are there, and at the destinations what it leaves out.
    """
    common, apply = parse_common_options(options), parse_apply_options(output, options)
    if only and not paths:
        from imgsync.errors import UsageError

        raise UsageError("--only selects among declared mirrors, so it needs PATH", hint="imgsync bundle load DIR mirrors.d --only PATTERN")
    from imgsync.cli.bundle_folders import find_folders
    from imgsync.cli.bundle_load_run import LoadOptions, run_load

    load = LoadOptions(find_folders(folder, options["volumes"]), paths, only, options["skip_missing"], options["allow_older"], options["dry_run"])
    return run_load(load, apply, common)


@click.command("verify", short_help="Check the signature and every byte of a bundle.")
@click.argument("path", metavar="DIR|VOLUME", shell_complete=complete_by("complete_file"))
@_volumes_option
@output_option("table", "json")
@option("--registries", metavar="FILE", help=REGISTRIES_HELP)
@heartbeat_option
@option("--no-progress", is_flag=True, help="Do not show progress on a terminal.")
@log_options
def verify_bundle(path: str, volumes: tuple[str, ...], output: str, heartbeat: float, **options: Any) -> int:
    """
    Check the signature, every volume and every digest of a bundle.

    Exit 1 if anything is missing or damaged, or if it is not signed as
    registries.yaml requires. Each image that this costs is named. No registry is
    contacted. A single VOLUME, a tar file, is checked alone; it has no signature.
    """
    from imgsync.cli.bundle_verify_run import run_verify_bundle

    return run_verify_bundle(path, volumes, parse_common_options({"state": None, **options}), output=output, heartbeat_seconds=heartbeat)
