"""A result in every form it is asked for: on stdout, in files, and in the summary that GitHub Actions shows of a step."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsync.apply.report import Report
from imgsync.cli.output import redaction, say, say_json, say_table
from imgsync.config.model import Config
from imgsync.errors import UsageError
from imgsync.logs.logger import Logger
from imgsync.plan.model import Change, Plan
from imgsync.system.atomic_write import write_atomically

if TYPE_CHECKING:
    from imgsync.plan.findings import Verification

# What GitHub shows of a step's summary is at most 1 MiB; more is dropped as a whole.
_SUMMARY_BYTES = 900 << 10


def print_plan(plan: Plan, document: Callable[[], dict[str, Any]], *, output: str, show_kept: bool = False, explain: bool = False) -> None:
    """Print *plan* to stdout in the form *output*; its JSON is what *document* gives."""
    if output == "json":
        say_json(document())
    elif output == "gitlab":
        from imgsync.render.gitlab_widget import render_gitlab_summary

        say_json(render_gitlab_summary(plan))
    elif output == "markdown":
        from imgsync.render.plan_markdown import render_plan_markdown

        say(render_plan_markdown(plan, explain=explain, show_kept=show_kept).rstrip("\n"))
    else:
        from imgsync.render.plan_table import render_plan_table

        say_table(render_plan_table(plan, show_kept=show_kept, explain=explain))


def print_report(report: Report, *, output: str) -> None:
    """Print *report* to stdout in the form *output*."""
    if output == "json":
        from imgsync.documents.report import report_document

        say_json(report_document(report))
    elif output == "markdown":
        from imgsync.render.report_markdown import render_report_markdown

        say(render_report_markdown(report).rstrip("\n"))
    else:
        from imgsync.render.report_table import render_report_table

        say_table(render_report_table(report))


def print_verification(found: Verification, *, output: str, show_ok: bool) -> None:
    """Print *found* to stdout in the form *output*."""
    if output == "json":
        from imgsync.documents.verification import verification_document

        say_json(verification_document(found))
    elif output == "markdown":
        from imgsync.render.verification_markdown import render_verification_markdown

        say(render_verification_markdown(found).rstrip("\n"))
    else:
        from imgsync.render.verification_table import render_verification_table

        say_table(render_verification_table(found, show_ok=show_ok))


def plan_json(plan: Plan, config: Config, *, explain: bool) -> dict[str, Any]:
    """Return the document of *plan*, secrets hidden, with a check over what is left."""
    from imgsync.documents.plan import plan_document

    return plan_document(plan, config, explain=explain, clean=redaction().clean_values)


def save_plan(plan: Plan, config: Config, path: str) -> None:
    """
    Write *plan* to the file *path*, for `apply --plan`.

    Raises:
        UsageError: The file cannot be written, or what is hidden is a part of the plan, so that a file without it would not be the plan.
    """
    from imgsync.documents.envelope import to_json

    text = redaction().clean(to_json(plan_json(plan, config, explain=True), indented=True))
    _check_saved(text, plan, config, name=path)
    write_file(path, f"{text}\n", private=True)


def _check_saved(text: str, plan: Plan, config: Config, *, name: str) -> None:
    """Return when *text* will be read as *plan*: a password may be a part of a reference or a digest in it, or of a word that all plans have."""
    from imgsync.documents.envelope import from_json
    from imgsync.documents.plan import check_made_for, plan_of

    try:
        document = from_json(text.encode(), name=name)
        saved = [_decision(change) for change in plan_of(document, name=name).changes]
        check_made_for(document, config, name=name)
    except UsageError:
        saved = None
    if saved != [_decision(change) for change in plan.changes]:
        raise UsageError("the plan cannot be saved: a password or token is also a part of what is in it", hint="use another password")


def _decision(change: Change) -> tuple[str | None, ...]:
    return change.action, change.mirror, str(change.source), change.source_digest, str(change.destination), change.destination_digest


def write_file(path: str, text: str, *, private: bool = False) -> None:
    """
    Write *text*, secrets hidden, to the file *path*, completely or not at all; if *private* only the owner may read it.

    Raises:
        UsageError: It cannot be written.
    """
    try:
        # Where a link leads to: the last step would put a file in the link's place.
        write_atomically(Path(path).resolve(), [redaction().clean(text).encode("utf-8", "backslashreplace")], private=private)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def check_writable(*paths: str | None) -> None:
    """
    Return when files can be made at *paths*: now, rather than when all the work is done.

    Raises:
        UsageError: One cannot.
    """
    for path in paths:
        if path is None:
            continue
        try:
            # A link that leads to itself is found out here: what resolving makes of one differs from Python to Python.
            os.stat(path)  # noqa: PTH116 - the empty name is to stay one
        except FileNotFoundError:
            pass
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error
        target = Path(path).resolve()
        # What is no file, such as a device, would be replaced by one.
        if not path or not os.access(target.parent, os.W_OK | os.X_OK) or (target.exists() and not target.is_file()):
            raise UsageError(f"{path or 'the empty name'} cannot be written", hint="name a file in a folder that is there and can be written")


def step_summary(markdown: Callable[[], str], *, log: Logger) -> None:
    """Add what *markdown* gives to the summary of the step, when run in GitHub Actions; a summary that cannot be written is told of, and no more."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    text = redaction().clean(markdown()).rstrip("\n") + "\n"
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            if file.tell() + len(text.encode(errors="backslashreplace")) < _SUMMARY_BYTES:
                file.write(text)
                return
        reason = "it would be larger than GitHub shows"
    except OSError as error:
        reason = f"{path} cannot be written: {error.strerror}"
    log.warning("summary.unwritten", reason=f"the step's summary was not added to: {reason}")
