"""`imgsync lock`: pin the digest of each selected tag."""

from __future__ import annotations

from typing import Any

import click

from imgsync.cli.options import config_options, heartbeat_option, lock_folder_option, option, output_option, parse_common_options, paths_argument, run_options


@click.command("lock")
@paths_argument
@output_option("table", "json", "markdown")
@option("--update", is_flag=True, help="Also take the digests of tags that moved.")
@option("--image", "images", metavar="GLOB", multiple=True, help="With --update: only these, such as 'docker.io/library/*'; repeatable.")
@option("--check", is_flag=True, help="Write nothing; exit 2 if the lock would change, and compare pinned digests with the source.")
@lock_folder_option
@heartbeat_option
@config_options
@run_options
def command(paths: tuple[str, ...], only: tuple[str, ...], output: str, **options: Any) -> int:
    """
    Pin the digest of each selected tag in mirrors.lock.

    It has a file per mirror. Adds what is new, drops what is no longer selected, and keeps what is pinned. `plan` and `apply` use it with --locked or --frozen.
    """
    common = parse_common_options(options)
    from imgsync.cli.lock_run import LockOptions, run_lock

    given = LockOptions(output, options["lock_dir"], options["update"], options["check"], options["images"], options["heartbeat"])
    return run_lock(paths, only, given, common)
