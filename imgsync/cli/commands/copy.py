"""`imgsync copy`: copy one image or repository."""

from __future__ import annotations

import os
from typing import Any

import click

from imgsync.cli.options import REGISTRIES_HELP, apply_options, option, output_option, parse_apply_options, parse_common_options, refresh_option, run_options


@click.command("copy")
@click.argument("source")
@click.argument("destination")
@option("--platform", multiple=True, metavar="OS/ARCH", help="Only this platform of a multi-platform image; repeatable.")
@option("--registries", metavar="FILE", help=REGISTRIES_HELP)
@output_option("table", "json", "markdown")
@refresh_option
@apply_options
@run_options
def command(source: str, destination: str, platform: tuple[str, ...], output: str, **options: Any) -> int:
    """
    Copy the image SOURCE to DESTINATION.

    Without a tag, the whole repository is copied. A name without a registry, such
    as nginx:1.27, is on Docker Hub. The destination is asked what it serves;
    --refresh also checks the content. `allow` in registries.yaml applies.

    SOURCE and DESTINATION may be OCI layouts, which are folders of images:
    oci-layout:NAME/REPOSITORY:TAG, as in registries.yaml, or by path
    oci-layout:PATH, oci-layout:PATH:TAG or oci-layout:PATH:REPOSITORY:TAG, where PATH
    begins with `.`, `/` or `~`. SOURCE may be an archive, such as of `docker save`.

    Unlike apply, copy starts at once, also on a terminal: its arguments say what it
    changes. --max-changes and --max-bytes limit the copy of a whole repository.
    """
    common = parse_common_options(options)
    apply = parse_apply_options(output, options)
    from imgsync.cli.apply_run import run_apply
    from imgsync.cli.session import open_session
    from imgsync.config.copy_config import build_copy_config
    from imgsync.config.load import load_registries

    config = build_copy_config(source, destination, registries=load_registries(common.registries, os.environ), platforms=platform)
    with open_session(config.registries, common, read_only=False, grace_seconds=apply.grace_seconds) as session:
        # A user who copies by hand may have deleted the image just before.
        return run_apply(session, config, apply, reads_records=False)
