"""Write the report files that the options ask for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from imgsync.apply.report import Report
from imgsync.cli.redact import redact_report
from imgsync.cli.results import add_step_summary, write_file
from imgsync.cli.session import Session
from imgsync.config.model import Config
from imgsync.errors import OutputError
from imgsync.system.dataclass import dataclass
from imgsync.text.units import parse_timestamp

if TYPE_CHECKING:
    from imgsync.cli.options import ReportFiles


@dataclass(frozen=True, slots=True)
class Sent:
    """
    Requests by side, registry and method, and rate-limit responses by registry.

    `refused` counts a fleet's messages that did nothing, by reason; None without a fleet.
    """

    requests: Mapping[str, Mapping[str, Mapping[str, int]]]
    throttled: Mapping[str, int]
    refused: Mapping[str, int] | None = None

    @classmethod
    def by_session(cls, session: Session) -> Sent:
        """Return what *session* sent."""
        return cls({side: session.registries.count_requests(side) for side in ("source", "destination")}, session.throttles)


def write_report_files(session: Session, config: Config, report: Report, *, exit_code: int, files: ReportFiles, sent: Sent | None = None) -> None:
    """
    Write the requested report *files*, and the CI step summary.

    The metrics say what was *sent*: by default by this session.
    A file that cannot be written is only logged: it must not hide how the run ended.
    """
    report = redact_report(report)
    add_step_summary(lambda: _markdown(report), log=session.log)
    for path, render in (
        (files.html, _html),
        (files.junit, _junit),
        (files.metrics, lambda report: _metrics(session, config, report, exit_code=exit_code, sent=sent or Sent.by_session(session))),
    ):
        if path is None:
            continue
        try:
            write_file(path, render(report))
        except OutputError as error:
            session.log.warning("report.unwritten", path=path, reason=error.message)


def _html(report: Report) -> str:
    from imgsync.render.report_html import render_report_html

    return render_report_html(report)


def _junit(report: Report) -> str:
    from imgsync.render.junit import render_report_junit

    return render_report_junit(report)


def _markdown(report: Report) -> str:
    from imgsync.render.report_markdown import render_report_markdown

    return render_report_markdown(report)


def _metrics(session: Session, config: Config, report: Report, *, exit_code: int, sent: Sent) -> str:
    from imgsync.render.metrics import render_metrics

    names = [mirror.name for mirror in config.mirrors]
    # Without mirrors that are no longer declared: they would seem to fail forever.
    successes = {name: parse_timestamp(session.state.last_successes.get(name, "")) for name in names}
    return render_metrics(
        report,
        mirrors=names,
        requests=sent.requests,
        throttles=sent.throttled,
        last_success={mirror: moment.timestamp() for mirror, moment in successes.items() if moment is not None},
        now=time.time(),
        exit_code=exit_code,
        refused_messages=sent.refused,
    )
