"""Take over the result of a run: agenda, board, history and log."""

from __future__ import annotations

import traceback
from datetime import datetime

from imgsync.logs.logger import Logger
from imgsync.serve.agenda import Agenda
from imgsync.serve.assess import MirrorResult, assess_run, count_results, find_release, update_table
from imgsync.serve.earlier_runs import parse_successes
from imgsync.serve.history import History
from imgsync.serve.live_board import LiveBoard
from imgsync.serve.model import RunResult
from imgsync.serve.run_document import encode_run
from imgsync.serve.tags import TagTable
from imgsync.serve.views import RunSummary

_STOPPED_EXIT = 75
# The innermost calls of an error that is a bug.
_FRAMES = 4


def record_run(result: RunResult, *, board: LiveBoard, agenda: Agenda, history: History, log: Logger) -> None:
    """Take over *result*."""
    order, found = result.order, assess_run(result)
    releases = {name: moment for name, one in found.items() if (moment := _show(board, one, result)) is not None}
    board.set_successes(parse_successes(result.successes))
    board.set_problem("run", result.error)
    board.set_problem("state", result.problem)
    agenda.finish(order, result.ended_at, failed=[name for name, one in found.items() if one.has_failed], releases=releases)
    for name, one in found.items():
        if one.is_refused and not one.has_failed:
            agenda.count_failure(name)
    summary = _summarize(result)
    seconds = (result.ended_at - result.began_at).total_seconds()
    board.totals.add(order.trigger, _name_ending(result), seconds)
    history.add(summary, encode_run(result, summary))
    if history.problem:
        log.warning("history.unwritten", run=order.id, reason=history.problem)
    board.set_problem("history", history.problem)
    fields = {"run": order.id, "trigger": order.trigger.value, "exit_code": result.exit_code, "seconds": round(seconds, 3)}
    if result.error:
        log.error("run.ended", **fields, error=result.error, hint=result.hint)
    else:
        log.info("run.ended", **fields, error="", hint="")


def log_bug(log: Logger, error: BaseException, **fields: object) -> None:
    """Log an *error* that no input should cause."""
    calls = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-_FRAMES:]]
    text = f"{type(error).__name__}: {error}"
    log.error("internal.error", **fields, error=text, calls=calls, hint="this is a bug in imgsync; please report it with this line")


def _show(board: LiveBoard, one: MirrorResult, result: RunResult) -> datetime | None:
    """Show a mirror; return when its first held tag is released."""
    has_plan = result.plan is not None or result.report is not None
    table = board.get_table(one.mirror) or TagTable(one.mirror)
    if has_plan:
        table = update_table(table, one, result)
    board.set_result(one, table, run=result.order.id, ended_at=result.ended_at, has_plan=has_plan)
    return find_release(table, after=result.began_at) if has_plan else None


def _summarize(result: RunResult) -> RunSummary:
    order, report = result.order, result.report
    return RunSummary(
        id=order.id,
        trigger=order.trigger,
        mirrors=order.mirrors,
        applies=order.applies,
        is_partial=any(pattern.is_part for pattern in order.only),
        began_at=result.began_at,
        ended_at=result.ended_at,
        counts=count_results(result),
        bytes_copied=report.total("bytes_copied") if report is not None else 0,
        exit_code=result.exit_code,
        error=result.error,
        hint=result.hint,
        stopped=report.stopped if report is not None else "",
    )


def _name_ending(result: RunResult) -> str:
    if result.exit_code == 0:
        return "succeeded"
    return "stopped" if result.exit_code == _STOPPED_EXIT else "failed"
