"""`imgsync serve`: keep mirrors in step, and show them."""

from __future__ import annotations

from typing import Any

import click

from imgsync.cli.options import (
    DEFAULT_STATE,
    LOCK_TIMEOUT_HELP,
    REGISTRIES_HELP,
    STATE_HELP,
    CommonOptions,
    Duration,
    Size,
    heartbeat_option,
    lock_options,
    option,
    parse_lock_use,
    paths_argument,
    worker_log_options,
)


@click.command("serve")
@paths_argument
@option("--git", metavar="URL", default=None, help="Follow a branch of this repository instead of PATH.")
@option("--git-ref", metavar="REF", default="main", show_default=True, help="With --git: the branch or tag to follow.")
@option("--git-path", metavar="PATH", multiple=True, default=("mirrors.d",), show_default=True, help="With --git: the folder or file in it; repeatable.")
@option("--git-interval", type=Duration(), default="1m", show_default=True, help="With --git: how often to look for a new commit.")
@option("--listen", metavar="HOST:PORT", default="127.0.0.1:8080", show_default=True, help="Where the page, the API, metrics and probes are served.")
@option("--listen-events", metavar="HOST:PORT", default=None, help="Where events are received. Default: at --listen.")
@option("--every", type=Duration(), default="1h", show_default=True, help="How often to apply a mirror without a `schedule`.")
@option("--only-plan", is_flag=True, help="Apply nothing: only plan, and show what is out of step.")
@option("--lease", type=click.Choice(["kubernetes"]), default=None, help="Write only while this process holds the lease, so that there is one writer.")
@option("--lease-name", metavar="NAME", default="imgsync", show_default=True, help="With --lease: its name. Replicas of one service have the same.")
@option("--grace", type=Duration(), default="30s", show_default=True, help="How long running copies may continue after a stop.")
@option("--lock-timeout", type=Duration(), default="0s", show_default=True, help=LOCK_TIMEOUT_HELP)
@option("--max-changes", type=click.IntRange(min=0), default=None, help="Apply nothing of a plan with more changes than this.")
@option("--max-bytes", type=Size(), default=None, help="Apply nothing of a plan that transfers more than this, such as 50GiB.")
@lock_options
@heartbeat_option
@option("--state", metavar="DIR|oci://REF", default=DEFAULT_STATE, show_default=True, help=STATE_HELP)
@option("--registries", metavar="FILE", help=REGISTRIES_HELP)
@worker_log_options
def command(paths: tuple[str, ...], **options: Any) -> int:
    """
    Keep mirrors in step until stopped, and show them.

    Applies each mirror by its `schedule`, and what events say has changed at once. Reads changed declarations by itself, and at SIGHUP. Serves a status page,
    an API, metrics and probes. Needs the extra `serve`.
    """
    from imgsync.cli.serve_extra import require_serve_extra

    require_serve_extra()
    # Only now: it imports them.
    from imgsync.cli.serve_run import ServeOptions, serve

    common = CommonOptions(
        registries=options["registries"],
        state=options["state"],
        lock_timeout_seconds=options["lock_timeout"],
        # On a terminal too: nothing else is shown there.
        log_level=options["log_level"] or "info",
        log_format=options["log_format"],
        progress=False,
    )
    names = ("git", "git_ref", "git_path", "listen", "listen_events", "only_plan", "lease", "lease_name", "max_changes", "max_bytes")
    given = {name: options[name] for name in names}
    seconds = {f"{name}_seconds": options[name] for name in ("git_interval", "every", "grace", "heartbeat")}
    return serve(paths, ServeOptions(**given, **seconds, lock=parse_lock_use(options)), common)
