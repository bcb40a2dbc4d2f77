"""Run `plan` and `apply --dry-run`: plan, print, save."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from imgsync.cli.accepted_documents import read_accepted_documents
from imgsync.cli.options import CommonOptions, LockUse
from imgsync.cli.output import print_note
from imgsync.cli.progress_display import open_display
from imgsync.cli.results import add_step_summary, check_writable, make_plan_document, print_plan
from imgsync.cli.session import STOPPED_EXIT, Session, open_session
from imgsync.config.load import load_config
from imgsync.config.model import Config
from imgsync.errors import ImgsyncError, UsageError
from imgsync.plan.build import build_plan
from imgsync.plan.log_plan import log_plan
from imgsync.plan.model import Plan
from imgsync.progress.counts import Work
from imgsync.render.annotations import annotate_plan
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.cli.other_side import FirstSeen, OtherSide
    from imgsync.lock.load_locks import Locks

PENDING_EXIT = 2


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """The options of `plan`, apart from the common ones."""

    output: str
    refresh: bool = False
    show_kept: bool = False
    explain: bool = False
    out: str | None = None
    changed_since: str | None = None
    detailed_exitcode: bool = False
    heartbeat: float = 60.0
    lock: LockUse = LockUse()
    have: tuple[str, ...] = ()
    since: tuple[str, ...] = ()
    is_for_bundle: bool = False


def run_plan(paths: Sequence[str], only: Sequence[str], options: PlanOptions, common: CommonOptions) -> tuple[Plan, int]:
    """
    Plan the mirrors of *paths*; return the plan and the exit code.

    Raises:
        ConfigError: A file is invalid.
        OutputError: The plan was printed, but not saved.
        UsageError: The plan cannot be saved, or nothing matches *only*.
    """
    check_writable(options.out)
    config, unread = _load(paths, only, options, common)
    locks = options.lock.read(config)
    side, first_seen = _read_other_side(options, config, common)
    with open_session(config.registries, common if side is None else replace(common, state=None), read_only=True) as session:
        if side is not None and first_seen is not None:
            side.stand_in(session, first_seen)
        for reason in unread:
            session.log.warning("declarations.unread", reason=reason)
        planned = config if side is None else side.leave_out_deletions(config)
        plan = make_plan(session, planned, options, locks=locks)
    plan = plan if side is None else side.add_notes(plan, config)
    return plan, print_made_plan(session, plan, config, options)


def make_plan(session: Session, config: Config, options: PlanOptions, *, locks: Locks | None = None) -> Plan:
    """Plan *config* and log the plan."""
    # A pull request from a fork has no credentials, but its plan is still useful.
    with open_display(session, Work.PLAN, heartbeat_seconds=options.heartbeat) as display:
        context = session.make_context(display.listener, refresh=options.refresh, strict=False, locks=locks)
        plan = session.finish(lambda: build_plan(config, context, keeps_content=options.out is not None))
    log_plan(plan, session.log)
    if session.load is not None:
        session.load.name_unselected(plan.iter_changes(), plan.errors)
    session.ci_log.annotate(lambda: annotate_plan(plan, config))
    return plan


def print_made_plan(session: Session, plan: Plan, config: Config, options: PlanOptions) -> int:
    """
    Print and save *plan*; return the exit code.

    Raises:
        OutputError: It was printed, but not saved.
    """
    unsaved = _save(session, plan, config, options.out) if options.out else None
    document = lambda: make_plan_document(plan, config, explain=options.explain)  # noqa: E731 - only JSON needs it
    print_plan(plan, document, output=options.output, show_kept=options.show_kept, explain=options.explain)
    add_step_summary(lambda: _markdown(plan, explain=options.explain), log=session.log)
    if unsaved is not None:
        raise unsaved
    return exit_code_of_plan(plan, detailed=options.detailed_exitcode)


def _read_other_side(options: PlanOptions, config: Config, common: CommonOptions) -> tuple[OtherSide | None, FirstSeen | None]:
    """Return what stands for destinations and state, None for themselves."""
    if not options.have and not options.since and not options.is_for_bundle:
        return None, None
    if options.refresh:
        raise UsageError("--refresh asks the destinations, in whose place are --have and --since", hint="remove --refresh")
    # Imported now: few plans are for a bundle.
    from imgsync.cli.other_side import FirstSeen, read_other_side

    return read_other_side(options.have, options.since, config), FirstSeen(common, config)


def exit_code_of_plan(plan: Plan, *, detailed: bool = False) -> int:
    """Return the exit code of a run that only made *plan*."""
    if any(not error.later for error in plan.errors) or plan.counts["refuse"]:
        return 1
    if plan.errors:
        return STOPPED_EXIT
    return PENDING_EXIT if detailed and plan.pending else 0


def _load(paths: Sequence[str], only: Sequence[str], options: PlanOptions, common: CommonOptions) -> tuple[Config, list[str]]:
    """Return the configuration, and warnings about the commit to compare with."""
    config = load_config(paths, registries=common.registries, environ=os.environ, only=only, accepted=read_accepted_documents(common.state))
    unread: list[str] = []
    if options.changed_since is not None:
        from imgsync.config.revision import select_changed_mirrors

        lock_folder = options.lock.folder if options.lock.option else None
        config = select_changed_mirrors(config, paths, options.changed_since, on_warning=unread.append, lock_folder=lock_folder)
    return config, unread


def _save(session: Session, plan: Plan, config: Config, path: str) -> ImgsyncError | None:
    """Save *plan*; return the error, so that the plan is still printed."""
    from imgsync.cli.results import save_plan

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
