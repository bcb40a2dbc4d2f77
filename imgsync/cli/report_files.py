"""Write the report files that the options ask for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from imgsync.apply.report import Report
from imgsync.cli.results import add_step_summary, write_file
from imgsync.cli.session import Session
from imgsync.config.model import Config
from imgsync.text.units import parse_timestamp

if TYPE_CHECKING:
    from imgsync.cli.options import ReportFiles


def write_report_files(session: Session, config: Config, report: Report, *, exit_code: int, files: ReportFiles) -> None:
    """Write the requested report *files*, and the CI step summary."""
    add_step_summary(lambda: _markdown(report), log=session.log)
    if files.html:
        from imgsync.render.report_html import render_report_html

        write_file(files.html, render_report_html(report))
    if files.junit:
        from imgsync.render.junit import render_report_junit

        write_file(files.junit, render_report_junit(report))
    if files.metrics:
        write_file(files.metrics, _metrics(session, config, report, exit_code=exit_code))


def _markdown(report: Report) -> str:
    from imgsync.render.report_markdown import render_report_markdown

    return render_report_markdown(report)


def _metrics(session: Session, config: Config, report: Report, *, exit_code: int) -> str:
    from imgsync.render.metrics import render_metrics

    names = [mirror.name for mirror in config.mirrors]
    # Without mirrors that are no longer declared: they would seem to fail forever.
    successes = {name: parse_timestamp(session.state.last_successes.get(name, "")) for name in names}
    return render_metrics(
        report,
        mirrors=names,
        requests={side: session.registries.count_requests(side) for side in ("source", "destination")},
        throttles=session.throttles,
        last_success={mirror: moment.timestamp() for mirror, moment in successes.items() if moment is not None},
        now=time.time(),
        exit_code=exit_code,
    )
