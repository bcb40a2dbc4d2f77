"""`imgsync plan`: show what would change, and why."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.options import DEFAULT_PATH, config_options, option, output_option, parse_common_options, paths_argument, refresh_option, run_options
from imgsync.cli.output import print_note

if TYPE_CHECKING:
    from imgsync.cli.session import Session
    from imgsync.config.model import Config
    from imgsync.errors import ImgsyncError
    from imgsync.plan.model import Plan

_PENDING_EXIT = 2


@click.command("plan")
@paths_argument
@output_option("table", "json", "markdown", "gitlab")
@option("--all", "show_kept", is_flag=True, help="Also show tags that are up to date.")
@option("--explain", is_flag=True, help="Show what each filter kept and dropped.")
@option("--out", metavar="FILE", default=None, help="Save the plan for `apply --plan`.")
@option("--changed-since", metavar="GITREF", default=None, help="Only mirrors that changed since this commit.")
@refresh_option
@option("--detailed-exitcode", is_flag=True, help="Exit 2 if changes are pending.")
@config_options
@run_options
def command(paths: tuple[str, ...], only: tuple[str, ...], output: str, **options: Any) -> int:
    """Show what would change and why. Nothing is changed."""
    common = parse_common_options(options)
    from imgsync.cli.results import add_step_summary, check_writable, make_plan_document, print_plan
    from imgsync.cli.session import STOPPED_EXIT, open_session
    from imgsync.config.load import load_config
    from imgsync.plan.build import build_plan
    from imgsync.plan.log_plan import log_plan

    check_writable(options["out"])
    config = load_config(paths or (DEFAULT_PATH,), registries=common.registries, environ=os.environ, only=only)
    unread: list[str] = []
    if options["changed_since"] is not None:
        from imgsync.config.revision import select_changed_mirrors

        config = select_changed_mirrors(config, paths or (DEFAULT_PATH,), options["changed_since"], on_warning=unread.append)
    explain = options["explain"]
    with open_session(config.registries, common, read_only=True) as session:
        for reason in unread:
            session.log.warning("declarations.unread", reason=reason)
        # A pull request from a fork has no credentials, but its plan is still useful.
        plan = session.finish(lambda: build_plan(config, session.make_context(refresh=options["refresh"], strict=False)))
        log_plan(plan, session.log)
    unsaved = _save(session, plan, config, options["out"]) if options["out"] else None
    print_plan(plan, lambda: make_plan_document(plan, config, explain=explain), output=output, show_kept=options["show_kept"], explain=explain)
    add_step_summary(lambda: _markdown(plan, explain=explain), log=session.log)
    if unsaved is not None:
        raise unsaved
    if any(not error.later for error in plan.errors) or plan.counts["refuse"]:
        return 1
    if plan.errors:
        return STOPPED_EXIT
    return _PENDING_EXIT if options["detailed_exitcode"] and plan.pending else 0


def _save(session: Session, plan: Plan, config: Config, path: str) -> ImgsyncError | None:
    """Save *plan*; return the error, so that the plan is still printed."""
    from imgsync.cli.results import save_plan
    from imgsync.errors import ImgsyncError

    try:
        save_plan(plan, config, path)
    except ImgsyncError as error:
        return error
    _print_saved(session, plan, path)
    return None


def _print_saved(session: Session, plan: Plan, path: str) -> None:
    from imgsync.logs.configure import is_console
    from imgsync.text.sanitize import sanitize_short

    if is_console(session.common.log_format, sys.stderr):
        print_note(f"Saved to {sanitize_short(path)}. Apply it with: imgsync apply --plan {sanitize_short(shlex.quote(path))}")
    else:
        session.log.info("plan.saved", plan_id=plan.id, path=path)


def _markdown(plan: Plan, *, explain: bool) -> str:
    from imgsync.cli.redact import redact_plan
    from imgsync.render.plan_markdown import render_plan_markdown

    return render_plan_markdown(redact_plan(plan), explain=explain)
