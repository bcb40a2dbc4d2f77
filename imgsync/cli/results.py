"""Print plans, reports and verifications, and write them to files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsync.apply.report import Report
from imgsync.cli.output import choose_layout, get_redaction, print_clean_json, print_json, print_line, print_table
from imgsync.cli.redact import redact_plan, redact_report, redact_verification
from imgsync.config.model import Config
from imgsync.errors import OutputError, UsageError
from imgsync.logs.logger import Logger
from imgsync.plan.model import Plan
from imgsync.system.atomic_write import write_atomically
from imgsync.text.units import format_bytes

if TYPE_CHECKING:
    from imgsync.plan.findings import Verification

# GitHub drops a step summary over 1 MiB as a whole.
_SUMMARY_BYTES = 900 << 10


def print_plan(
    plan: Plan, document: Callable[[], dict[str, Any]], *, output: str, show_kept: bool = False, explain: bool = False, has_all: bool = True
) -> None:
    """
    Print *plan* to stdout in the format *output*.

    Its JSON is made by *document*, when it is needed. *has_all* says that the command has `--all`.
    """
    if output == "json":
        print_clean_json(document())
    elif output == "gitlab":
        from imgsync.render.gitlab_widget import render_gitlab_summary

        print_json(render_gitlab_summary(plan))
    elif output == "markdown":
        from imgsync.render.plan_markdown import render_plan_markdown

        print_line(render_plan_markdown(redact_plan(plan), explain=explain, show_kept=show_kept).rstrip("\n"))
    else:
        from imgsync.render.plan_table import PlanView, render_plan_table

        view = PlanView(show_kept=show_kept, explain=explain, has_all=has_all, layout=choose_layout(sys.stdout))
        print_table(render_plan_table(redact_plan(plan), view))


def print_report(report: Report, *, output: str, has_plan: bool = False) -> None:
    """
    Print *report* to stdout in the format *output*.

    *has_plan* says that its plan was printed before.
    """
    if output == "json":
        from imgsync.documents.report import encode_report

        print_clean_json(encode_report(report, clean=get_redaction().clean_values))
    elif output == "markdown":
        from imgsync.render.report_markdown import render_report_markdown

        print_line(render_report_markdown(redact_report(report)).rstrip("\n"))
    else:
        from imgsync.render.report_table import render_report_table

        print_table(render_report_table(redact_report(report), layout=choose_layout(sys.stdout), has_plan=has_plan))


def print_verification(found: Verification, *, output: str, show_ok: bool) -> None:
    """Print *found* to stdout in the format *output*."""
    if output == "json":
        from imgsync.documents.verification import encode_verification

        print_json(encode_verification(found))
    elif output == "markdown":
        from imgsync.render.verification_markdown import render_verification_markdown

        print_line(render_verification_markdown(redact_verification(found)).rstrip("\n"))
    else:
        from imgsync.render.verification_table import render_verification_table

        print_table(render_verification_table(redact_verification(found), show_ok=show_ok, layout=choose_layout(sys.stdout)))


def make_plan_document(plan: Plan, config: Config, *, explain: bool) -> dict[str, Any]:
    """Return *plan* as JSON values without secrets."""
    from imgsync.documents.plan import encode_plan

    return encode_plan(plan, config, explain=explain, clean=get_redaction().clean_values)


def save_plan(plan: Plan, config: Config, path: str) -> None:
    """
    Write *plan* to the file *path*, for `apply --plan`.

    Raises:
        OutputError: The file cannot be written, or could not be read again.
        UsageError: The plan contains a secret and would be damaged by hiding it.
    """
    from imgsync.documents.json_stream import iter_json
    from imgsync.documents.plan import encode_plan

    document = encode_plan(plan, config, explain=True, clean=_clean_saved)
    _write(path, _check_saved(iter_json(document, indented=True, end="\n"), path), private=True)


# What `apply --plan` decides by: hiding a password must not change it.
_DECIDING = (
    *("action", "mirror", "source", "source_digest", "destination", "destination_digest"),
    *("gone", "imgsync", "declarations", "whole", "only", "uncompared", "content"),
)


def _clean_saved(fields: dict[str, Any]) -> dict[str, Any]:
    """Return *fields* of a saved plan without secrets."""
    cleaned: dict[str, Any] = get_redaction().clean_values(fields)
    if any(cleaned.get(name) != fields.get(name) for name in _DECIDING):
        raise _refuse_to_save()
    return cleaned


def _check_saved(texts: Iterable[str], path: str) -> Iterator[str]:
    """Yield *texts* of a saved plan, unless one has something to hide."""
    from imgsync.documents.envelope import LIMIT_BYTES

    length = 0
    for text in texts:
        if get_redaction().clean(text) != text:
            raise _refuse_to_save()
        length += len(text)
        yield text
    if length > LIMIT_BYTES:
        raise OutputError(
            f"{path} would have {format_bytes(length)}, and a plan file has at most {format_bytes(LIMIT_BYTES)}",
            hint="save the plan in parts with --only MIRROR, or apply it without a file",
        )


def _refuse_to_save() -> UsageError:
    return UsageError("the plan cannot be saved: a password or token also appears in it", hint="use another password")


def write_file(path: str, text: str, *, private: bool = False) -> None:
    """
    Write *text* to *path* atomically, without secrets.

    Args:
        path: May be a symlink, which stays one.
        text: The new content.
        private: Whether only the user may read the file.

    Raises:
        OutputError: The file cannot be written.
    """
    _write(path, [get_redaction().clean(text)], private=private)


def _write(path: str, texts: Iterable[str], *, private: bool) -> None:
    try:
        # Resolved: the final rename would replace a symlink by a file.
        write_atomically(Path(path).resolve(), (text.encode("utf-8", "backslashreplace") for text in texts), private=private)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error


def check_writable(*paths: str | None) -> None:
    """
    Check that files can be written at *paths*.

    Called first, so that an error does not surface when all the work is done.

    Raises:
        UsageError: One of them cannot.
    """
    for path in paths:
        if path is None:
            continue
        try:
            # Finds a symlink to itself, which `resolve` treats differently from version to version of Python.
            os.stat(path)  # noqa: PTH116 - Path would turn the empty name into `.`
        except FileNotFoundError:
            pass
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error
        target = Path(path).resolve()
        # A device, or anything but a regular file, would be replaced by a file.
        if not path or not os.access(target.parent, os.W_OK | os.X_OK) or (target.exists() and not target.is_file()):
            raise UsageError(f"{path or 'the empty name'} cannot be written", hint="name a file in an existing directory that you may write to")


def add_step_summary(markdown: Callable[[], str], *, log: Logger) -> None:
    """Add *markdown* to the step summary; only log a failure."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    text = get_redaction().clean(markdown()).rstrip("\n") + "\n"
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            if file.tell() + len(text.encode(errors="backslashreplace")) < _SUMMARY_BYTES:
                file.write(text)
                return
        reason = "it would exceed what GitHub shows"
    except OSError as error:
        reason = f"{path} cannot be written: {error.strerror}"
    log.warning("summary.unwritten", reason=f"the step summary was not extended: {reason}")
