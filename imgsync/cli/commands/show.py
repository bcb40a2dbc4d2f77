"""`imgsync show`: print a saved document again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.options import complete_by, option, output_option

if TYPE_CHECKING:
    from imgsync.apply.report import Report


@click.command("show")
@click.argument("file", metavar="FILE", shell_complete=complete_by("complete_file"))
@output_option("table", "json", "markdown", "gitlab", "html", "junit")
@option("--all", "show_kept", is_flag=True, help="Also show tags that are up to date.")
@option("--explain", is_flag=True, help="Show what each filter kept and dropped, if `plan --out` saved the plan.")
def command(file: str, output: str, show_kept: bool, explain: bool) -> int:
    """
    Print a saved plan, report, verification or outcome of a shard.

    FILE was written by `plan --out`, by `apply --outcome`, or by `plan`, `apply` or `verify` with `-o json`.
    """
    from imgsync.documents.envelope import read_document
    from imgsync.errors import UsageError

    document = read_document(file)
    kind = document["format"].partition("/")[0]
    if kind not in _FORMS:
        raise UsageError(f"{file} is {document['format']}, not a plan, report, verification or outcome")
    forms, printer = _FORMS[kind]
    if output not in forms:
        raise UsageError(f"{file} is {document['format']}, which cannot be shown as {output}", hint=f"choose one of: {', '.join(forms)}")
    printer(document, file, output=output, show_kept=show_kept, explain=explain)
    return 0


def _print_plan(document: dict[str, Any], file: str, *, output: str, show_kept: bool, explain: bool) -> None:
    from imgsync.cli.results import print_plan
    from imgsync.documents.plan import decode_plan

    print_plan(decode_plan(document, name=file), lambda: document, output=output, show_kept=show_kept, explain=explain)


def _print_report(document: dict[str, Any], file: str, *, output: str, **_: bool) -> None:
    from imgsync.documents.report import decode_report

    _print_as_report(decode_report(document, name=file), document, output=output)


def _print_outcome(document: dict[str, Any], file: str, *, output: str, **_: bool) -> None:
    from imgsync.documents.outcome import decode_shard_outcome

    _print_as_report(decode_shard_outcome(document, name=file).report, document, output=output)


def _print_as_report(report: Report, document: dict[str, Any], *, output: str) -> None:
    from imgsync.cli.output import print_json, print_line
    from imgsync.cli.results import print_report

    if output == "html":
        from imgsync.render.report_html import render_report_html

        print_line(render_report_html(report).rstrip("\n"))
    elif output == "junit":
        from imgsync.render.junit import render_report_junit

        print_line(render_report_junit(report).rstrip("\n"))
    elif output == "json":
        print_json(document)
    else:
        print_report(report, output=output)


def _print_verification(document: dict[str, Any], file: str, *, output: str, show_kept: bool, **_: bool) -> None:
    from imgsync.cli.output import print_json
    from imgsync.cli.results import print_verification
    from imgsync.documents.verification import decode_verification

    found = decode_verification(document, name=file)
    if output == "json":
        print_json(document)
    else:
        print_verification(found, output=output, show_ok=show_kept)


_FORMS: dict[str, tuple[tuple[str, ...], Callable[..., None]]] = {
    "imgsync.plan": (("table", "json", "markdown", "gitlab"), _print_plan),
    "imgsync.report": (("table", "json", "markdown", "html", "junit"), _print_report),
    "imgsync.outcome": (("table", "json", "markdown", "html", "junit"), _print_outcome),
    "imgsync.verification": (("table", "json", "markdown"), _print_verification),
}
