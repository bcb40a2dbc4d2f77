"""`imgsync worker`: copy what a coordinator hands out."""

from __future__ import annotations

from typing import Any

import click

from imgsync.cli.options import REGISTRIES_HELP, Duration, broker_options, option, paths_argument, worker_log_options


@click.command("worker")
@paths_argument
@broker_options("auto")
@option("--drain", type=Duration(), default=None, help="End with exit code 0 after this time without a batch. Default: wait for ever.")
@option("--grace", type=Duration(), default="30s", show_default=True, help="How long running copies may continue after a stop.")
@option("--registries", metavar="FILE", help=REGISTRIES_HELP)
@worker_log_options
def command(paths: tuple[str, ...], **options: Any) -> int:
    """
    Copy images for a coordinator until stopped.

    A worker keeps no state. It copies only what its own PATH declares and its own registries.yaml allows. Needs the extra `queue`.
    """
    from imgsync.cli.worker_run import start_worker

    return start_worker(paths, options)
