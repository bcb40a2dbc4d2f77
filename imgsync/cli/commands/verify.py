"""`imgsync verify`: do the destinations really serve what is declared? Changes nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.options import DEFAULT_PATH, common_of, config_options, option, output_option, paths_argument, run_options

if TYPE_CHECKING:
    from imgsync.plan.findings import Verification


@click.command("verify")
@paths_argument
@output_option("table", "json", "markdown")
@option("--all", "show_ok", is_flag=True, help="Show what is as declared, too.")
@option("--deep", is_flag=True, help="Read every blob of the destinations, and hash it.")
@config_options
@run_options
def command(paths: tuple[str, ...], only: tuple[str, ...], output: str, **options: Any) -> int:
    """Ask every destination whether it serves what is declared, manifests and blobs; exit 1 on drift."""
    common = common_of(options)
    from imgsync.cli.results import print_verification, step_summary
    from imgsync.cli.session import STOPPED_EXIT, open_session
    from imgsync.config.load import load_config
    from imgsync.plan.verify import verify

    config = load_config(paths or (DEFAULT_PATH,), registries=common.registries, environ=os.environ, only=only)
    with open_session(config.registries, common, read_only=True) as session:
        session.stop_in_time()
        found = verify(config, session.inquiry(refresh=True), deep=options["deep"])
        session.log.info("verify.finished", ok=len(found.findings) - len(found.drift), drift=len(found.drift), error=len(found.errors), seconds=found.seconds)
    print_verification(found, output=output, show_ok=options["show_ok"])
    step_summary(lambda: _markdown(found), log=session.log)
    if found.drift or any(not error.later for error in found.errors):
        return 1
    return STOPPED_EXIT if found.errors else 0


def _markdown(found: Verification) -> str:
    from imgsync.render.verification_markdown import render_verification_markdown

    return render_verification_markdown(found)
