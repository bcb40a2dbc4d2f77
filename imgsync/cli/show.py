"""`imgsync show`: a saved plan, report or verification again, in any form."""

from __future__ import annotations

from pathlib import Path

import click

from imgsync.cli.options import option, output_option


@click.command("show")
@click.argument("file", metavar="FILE")
@output_option("table", "json", "markdown", "gitlab", "html", "junit")
@option("--all", "show_kept", is_flag=True, help="Show kept tags too.")
@option("--explain", is_flag=True, help="Show how the filters chose, where the plan was saved by --out.")
def command(file: str, output: str, show_kept: bool, explain: bool) -> int:
    """Print a plan that `plan --out` or `-o json` saved, or a report of `apply -o json`, or of `verify -o json`, again."""
    from imgsync.cli.output import say, say_json
    from imgsync.cli.results import print_plan, print_report, print_verification
    from imgsync.documents.form import from_json
    from imgsync.errors import UsageError

    try:
        document = from_json(Path(file).read_bytes(), name=file)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    kind = document["format"].partition("/")[0]
    if kind == "imgsync.plan" and output in {"table", "json", "markdown", "gitlab"}:
        from imgsync.documents.plan import plan_of

        print_plan(plan_of(document, name=file), lambda: document, output=output, show_kept=show_kept, explain=explain)
    elif kind == "imgsync.report" and output in {"html", "junit"}:
        from imgsync.documents.report import report_of
        from imgsync.render.junit import report_junit
        from imgsync.render.report_html import report_html

        say((report_html if output == "html" else report_junit)(report_of(document, name=file)).rstrip("\n"))
    elif kind == "imgsync.report" and output in {"table", "json", "markdown"}:
        from imgsync.documents.report import report_of

        report = report_of(document, name=file)
        say_json(document) if output == "json" else print_report(report, output=output)
    elif kind == "imgsync.verification" and output in {"table", "json", "markdown"}:
        from imgsync.documents.verification import verification_of

        print_verification(verification_of(document, name=file), output=output, show_ok=show_kept)
    elif kind in {"imgsync.plan", "imgsync.report", "imgsync.verification"}:
        raise UsageError(f"{file} is {document['format']}, which has no form '{output}'", hint="plans have gitlab, reports html and junit")
    else:
        raise UsageError(f"{file} is {document['format']}, which is no plan, report or verification")
    return 0
