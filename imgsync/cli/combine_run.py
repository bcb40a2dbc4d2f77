"""Combine outcomes of shards: read, record, print, write files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from imgsync.apply.combine import Combined, NamedOutcome, combine_outcomes
from imgsync.apply.end_of_run import record_end
from imgsync.apply.gone import list_gone
from imgsync.apply.record_combined import record_combined
from imgsync.cli.apply_run import exit_code_of
from imgsync.cli.options import CommonOptions, ReportFiles
from imgsync.cli.output import print_note
from imgsync.cli.report_files import Sent, write_report_files
from imgsync.cli.results import check_writable, print_report
from imgsync.cli.session import open_session
from imgsync.config.model import Config
from imgsync.documents.envelope import read_document
from imgsync.documents.outcome import decode_shard_outcome
from imgsync.errors import UsageError
from imgsync.plan.listener import NoListener
from imgsync.plan.model import Plan
from imgsync.plan.saved import check_declared
from imgsync.render.annotations import annotate_report
from imgsync.text.units import format_timestamp

# The worst first: a bug, a usage error, a failure, and two kinds of work left.
_WORST_FIRST = (70, 3, 1, 130, 75, 0)
_NO_FILE = "name the files that the shards wrote with --outcome"


def run_combine(plan: Plan, config: Config, paths: Sequence[str], common: CommonOptions, *, plan_file: str, output: str, files: ReportFiles) -> int:
    """
    Combine the outcomes in *paths*; return the worst exit code.

    *plan_file* is where *plan* comes from.

    Raises:
        OutcomeError: They do not fit together, or not the plan; nothing was written.
        UsageError: One cannot be read, or the plan cannot be divided.
    """
    check_writable(*files)
    if plan.content is None:
        raise UsageError("this plan was not made for shards: it does not say what its images consist of", hint="name the plan that the shards applied")
    check_declared(plan.changes, config)
    given = [NamedOutcome(path, decode_shard_outcome(read_document(path, hint=_NO_FILE), name=path)) for path in paths]
    combined = combine_outcomes(plan, given, plan_file=plan_file, created_at=format_timestamp(datetime.now(UTC)))
    exit_code = _find_worst(exit_code_of(combined.report), combined, given)
    with open_session(config.registries, common, read_only=False) as session:
        record_combined(plan, combined, config, session.make_context(NoListener(), refresh=False))
        report = replace(combined.report, gone=tuple(list_gone(plan, session.state.gone_since)))
        record_end(report, config, session.state, requeues=0, log=session.log)
        write_report_files(session, config, report, exit_code=exit_code, files=files, sent=_sum_sent(given))
        session.ci_log.annotate(lambda: annotate_report(report, config))
        session.ci_log.end_group()
    print_report(report, output=output)
    for shard in combined.idle:
        # The report has no change of it, and only its own run can say that it had none.
        print_note(f"error: no outcome of shard {shard} was given; it has no changes, but must run to say so")
    return exit_code


def _find_worst(own: int, combined: Combined, given: Sequence[NamedOutcome]) -> int:
    codes = {own, *(one.done.exit_code for one in given), *([1] if combined.missing else [])}
    return next(code for code in _WORST_FIRST if code in codes)


def _sum_sent(given: Sequence[NamedOutcome]) -> Sent:
    requests: dict[str, dict[str, Counter[str]]] = {"source": {}, "destination": {}}
    throttled: Counter[str] = Counter()
    for one in given:
        for traffic in one.done.traffic:
            requests[traffic.side].setdefault(traffic.registry, Counter()).update(traffic.requests)
        throttled.update(one.done.throttled)
    return Sent(requests, throttled)
