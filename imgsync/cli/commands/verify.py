"""`imgsync verify`: check the destinations."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

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
    run_options,
)
from imgsync.errors import ImgsyncError

if TYPE_CHECKING:
    from imgsync.cli.session import Session
    from imgsync.images.completeness import ContentChecker
    from imgsync.plan.findings import Verification


@click.command("verify")
@paths_argument
@output_option("table", "json", "markdown")
@option("--all", "show_ok", is_flag=True, help="Also show tags that are as declared.")
@option("--deep", is_flag=True, help="Read and hash every blob at the destinations.")
@lock_options
@heartbeat_option
@config_options
@run_options
def command(paths: tuple[str, ...], only: tuple[str, ...], output: str, **options: Any) -> int:
    """
    Check that every destination serves the declared manifests and blobs.

    Exit 1 on drift. Nothing is changed at the destinations; the state notes
    what drifted, and the next apply repairs it.
    """
    common, lock = parse_common_options(options), parse_lock_use(options)
    from imgsync.cli.accepted_documents import read_accepted_documents
    from imgsync.cli.progress_display import open_display
    from imgsync.cli.results import add_step_summary, print_verification
    from imgsync.cli.session import STOPPED_EXIT, open_session
    from imgsync.config.load import load_config
    from imgsync.plan.verify import verify
    from imgsync.progress.counts import Work
    from imgsync.render.annotations import annotate_verification

    config = load_config(paths, registries=common.registries, environ=os.environ, only=only, accepted=read_accepted_documents(common.state))
    locks = lock.read(config)
    with open_session(config.registries, common, read_only=True) as session:
        with open_display(session, Work.VERIFY, heartbeat_seconds=options["heartbeat"]) as display:
            context = session.make_context(display.listener, refresh=True, locks=locks)
            found = session.finish(lambda: verify(config, context, deep=options["deep"], listener=display.listener))
        session.log.info("verify.finished", ok=len(found.findings) - len(found.drift), drift=len(found.drift), error=len(found.errors), seconds=found.seconds)
        session.ci_log.annotate(lambda: annotate_verification(found, config))
        _mark_drift(session, found, context.content)
    print_verification(found, output=output, show_ok=options["show_ok"])
    add_step_summary(lambda: _markdown(found), log=session.log)
    if found.drift or any(not error.later for error in found.errors):
        return 1
    return STOPPED_EXIT if found.errors else 0


def _mark_drift(session: Session, found: Verification, content: ContentChecker) -> None:
    """Mark drift in the state; a failure is only a warning."""
    from imgsync.apply.mark_drift import list_contradicted, mark_drift

    if not list_contradicted(found, session.state):
        return
    try:
        with session.open_state_to_write() as opened:
            mark_drift(found, content, opened.store)
    except ImgsyncError as error:
        session.log.warning("state.degraded", reason=f"{error.message}; the state does not note what drifted, so repair it with `imgsync apply --refresh`")


def _markdown(found: Verification) -> str:
    from imgsync.cli.redact import redact_verification
    from imgsync.render.verification_markdown import render_verification_markdown

    return render_verification_markdown(redact_verification(found))
