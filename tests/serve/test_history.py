"""The history of runs: bounded, private, and never in the way."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from jsonschema import Draft202012Validator

from imgsync.apply.report import Outcome, Report, Result
from imgsync.config.only_pattern import OnlyPattern
from imgsync.config.schema_files import read_schema
from imgsync.plan.model import PlanError
from imgsync.serve import history
from imgsync.serve.assess import count_results
from imgsync.serve.history import History
from imgsync.serve.model import RunOrder, RunResult, Trigger
from imgsync.serve.run_document import decode_summary, encode_run
from imgsync.serve.views import RunSummary
from tests.support import plans

_START = datetime(2026, 8, 28, 1, tzinfo=UTC)


def run(number: int = 0, *, report: Report | None = None, error: str = "", **more) -> tuple[RunSummary, dict]:
    """Return the summary and the document of a run."""
    moment = _START + timedelta(minutes=number)
    order = RunOrder(f"{moment:%Y%m%dT%H%M%S}-{number:04x}", Trigger.SCHEDULE, ("a",), applies=True, **more)
    result = RunResult(order, moment, moment + timedelta(seconds=2), report=report, error=error, exit_code=1 if error else 0)
    summary = RunSummary(
        order.id,
        order.trigger,
        order.mirrors,
        applies=True,
        is_partial=bool(order.only),
        began_at=moment,
        ended_at=result.ended_at,
        counts=count_results(result),
        exit_code=result.exit_code,
        error=error,
    )
    return summary, encode_run(result, summary)


def opened(folder, damaged=None) -> History:
    """Return the history in *folder*."""
    return History(folder, clean=lambda value: value, on_damaged=lambda name, _: (damaged if damaged is not None else []).append(name))


def test_runs_are_there_after_a_restart(tmp_path):
    """The newest first, with what they say."""
    first = opened(tmp_path / "runs")
    for number in range(3):
        first.add(*run(number, report=plans.report(), error="no space left" if number == 1 else ""))
    again = opened(tmp_path / "runs")
    assert again.list_runs() == first.list_runs()
    assert [one.error for one in again.list_runs()] == ["", "no space left", ""]
    assert again.read_run(again.list_runs()[0].id) == json.loads(json.dumps(run(2, report=plans.report())[1]))


@pytest.mark.row("LOOP-02")
def test_documents_are_private(tmp_path):
    """Only this user can read them."""
    opened(tmp_path / "runs").add(*run())
    assert (tmp_path / "runs").stat().st_mode & 0o777 == 0o700
    assert [one.stat().st_mode & 0o777 for one in (tmp_path / "runs").iterdir()] == [0o600]


@pytest.mark.row("LOOP-02")
def test_quiet_runs_go_first(tmp_path, monkeypatch):
    """Of the newest ones none, and then the oldest of all."""
    monkeypatch.setattr(history, "RUNS_LIMIT", 10)
    monkeypatch.setattr(history, "_NEWEST", 3)
    kept = opened(tmp_path / "runs")
    for number in range(20):
        kept.add(*run(number, error="failed" if number % 4 == 0 else ""))
    numbers = [int(one.id[-4:], 16) for one in kept.list_runs()]
    assert numbers == [19, 18, 17, 16, 15, 14, 12, 8, 4, 0]
    assert len(numbers) == len(list((tmp_path / "runs").iterdir())) == 10


@pytest.mark.row("LOOP-02")
def test_size_of_the_history_is_limited(tmp_path, monkeypatch):
    """The oldest documents are removed."""
    monkeypatch.setattr(history, "SIZE_LIMIT_BYTES", 5000)
    kept = opened(tmp_path / "runs")
    for number in range(30):
        kept.add(*run(number, error="x" * 200))
    assert sum(one.stat().st_size for one in (tmp_path / "runs").iterdir()) <= 5000
    assert kept.list_runs()[0].id.endswith(f"{29:04x}")


@pytest.mark.row("LOOP-02")
def test_document_has_the_failures_and_a_limit():
    """Copies are cut before failures, and what is missing is counted."""
    outcome = plans.report().outcomes[0]
    many = [replace(outcome, result=Result.COPIED, error=None) for _ in range(4000)]
    failed = [Outcome(outcome.change, Result.FAILED, error="e" * 100) for _ in range(5)]
    report = Report("1", (*many, *failed), errors=tuple(PlanError("a", f"s.io/{number}", "m") for number in range(300)))
    document = run(report=report)[1]
    assert len(json.dumps(document)) < 1 << 20
    assert [one["result"] for one in document["outcomes"][:6]] == ["failed"] * 5 + ["copied"]
    assert document["left_out"] == {"errors": 100, "outcomes": 4005 - len(document["outcomes"])}


@pytest.mark.parametrize("report", [None, plans.report(), Report("1", (), stopped="interrupted")], ids=["none", "full", "stopped"])
def test_document_fits_its_schema(report):
    """And its summary can be read back."""
    schema = json.loads(read_schema("run"))
    Draft202012Validator.check_schema(schema)
    summary, document = run(report=report, only=(OnlyPattern("a/app:1", "a", "app", "1"),))
    assert list(Draft202012Validator(schema).iter_errors(json.loads(json.dumps(document)))) == []
    assert decode_summary(json.loads(json.dumps(document))) == summary


@pytest.mark.row("LOOP-02")
@pytest.mark.parametrize("damage", [{"format": "imgsync.run/v2"}, {"began_at": "yesterday"}, {"mirrors": 3}, {"summary": {"copied": "x"}}, {"id": "../x"}])
def test_damaged_document_is_skipped(damage, tmp_path):
    """The others are there."""
    first = opened(tmp_path)
    for number in range(2):
        first.add(*run(number))
    path = tmp_path / f"{first.list_runs()[1].id}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    damaged: list[str] = []
    again = opened(tmp_path, damaged)
    assert damaged == [path.name]
    assert len(again.list_runs()) == 1


def test_last_runs_are_those_that_succeeded_as_a_whole(tmp_path):
    """Neither a part nor a failure says that a mirror is as declared."""
    kept = opened(tmp_path)
    kept.add(*run(1))
    kept.add(*run(2, error="failed"))
    kept.add(*run(3, only=(OnlyPattern("a/app", "a", "app"),)))
    assert kept.find_last_runs() == {"a": _START + timedelta(minutes=1)}
