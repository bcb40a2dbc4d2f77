"""A result in every form it is asked for: on stdout, in files, and in the summary that GitHub Actions shows of a step."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.output import redaction, say, say_json, say_table
from imgsync.config.model import Config
from imgsync.errors import UsageError
from imgsync.plan.model import Plan
from imgsync.report import Report

if TYPE_CHECKING:
    from imgsync.verification import Verification

# What GitHub shows of a step's summary is at most 1 MiB; more is dropped as a whole.
_SUMMARY_BYTES = 900 << 10


def print_plan(plan: Plan, document: Callable[[], dict[str, Any]], *, output: str, show_kept: bool = False, explain: bool = False) -> None:
    """Print *plan* to stdout in the form *output*; its JSON is what *document* gives."""
    if output == "json":
        say_json(document())
    elif output == "gitlab":
        from imgsync.render.gitlab import gitlab_summary

        say_json(gitlab_summary(plan))
    elif output == "markdown":
        from imgsync.render.plan_markdown import plan_markdown

        say(plan_markdown(plan, explain=explain, show_kept=show_kept).rstrip("\n"))
    else:
        from imgsync.render.plan_table import plan_table

        say_table(plan_table(plan, show_kept=show_kept, explain=explain))


def print_report(report: Report, *, output: str) -> None:
    """Print *report* to stdout in the form *output*."""
    if output == "json":
        from imgsync.documents.report import report_document

        say_json(report_document(report))
    elif output == "markdown":
        from imgsync.render.report_markdown import report_markdown

        say(report_markdown(report).rstrip("\n"))
    else:
        from imgsync.render.report_table import report_table

        say_table(report_table(report))


def print_verification(found: Verification, *, output: str, show_ok: bool) -> None:
    """Print *found* to stdout in the form *output*."""
    if output == "json":
        from imgsync.documents.verification import verification_document

        say_json(verification_document(found))
    elif output == "markdown":
        from imgsync.render.verification_markdown import verification_markdown

        say(verification_markdown(found).rstrip("\n"))
    else:
        from imgsync.render.verification_table import verification_table

        say_table(verification_table(found, show_ok=show_ok))


def plan_json(plan: Plan, config: Config, *, explain: bool) -> dict[str, Any]:
    """Return the document of *plan*, secrets hidden, with a check over what is left."""
    from imgsync.documents.plan import plan_document

    return plan_document(plan, config, explain=explain, clean=redaction().clean_values)


def save_plan(plan: Plan, config: Config, path: str) -> None:
    """
    Write *plan* to the file *path*, for `apply --plan`.

    Raises:
        UsageError: The file cannot be written, or a reference holds a secret, so that a file without it would not be the plan.
    """
    from imgsync.documents.form import to_json

    document = plan_json(plan, config, explain=True)
    if len(document["changes"]) != len(plan.changes) or any(
        (entry["source"], entry["destination"], entry["mirror"]) != (change.source, change.destination, change.mirror)
        for entry, change in zip(document["changes"], plan.changes, strict=True)
    ):
        raise UsageError("the plan cannot be saved: a password is also a part of a reference in it", hint="use another password")
    write_file(path, to_json(document, indented=True) + "\n")


def write_file(path: str, text: str, *, shared: bool = False) -> None:
    """
    Write *text*, secrets hidden, to the file *path*: whole or not at all, for its owner alone, or as the umask says if it is to be *shared*.

    Raises:
        UsageError: It cannot be written.
    """
    target = Path(path)
    # In the same folder, so that the last step is a renaming.
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if shared else 0o600), "w", encoding="utf-8") as file:
                file.write(redaction().clean(text))
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def check_writable(*paths: str | None) -> None:
    """
    Return when files can be made at *paths*: now, rather than when all the work is done.

    Raises:
        UsageError: One cannot.
    """
    for path in filter(None, paths):
        folder = Path(path).parent
        if not os.access(folder, os.W_OK | os.X_OK) or Path(path).is_dir():
            raise UsageError(f"{path} cannot be written", hint="name a file in a folder that is there and can be written")


def step_summary(markdown: Callable[[], str]) -> None:
    """Add what *markdown* gives to the summary of the step, when run in GitHub Actions; a summary that cannot be written is told of, and no more."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    text = redaction().clean(markdown())
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            if file.tell() + len(text.encode()) < _SUMMARY_BYTES:
                file.write(text if text.endswith("\n") else f"{text}\n")
    except OSError as error:
        click.echo(f"warning: GITHUB_STEP_SUMMARY cannot be written: {error.strerror}", err=True)
