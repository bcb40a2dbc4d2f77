"""The end of a run: what the next one is left, and which mirrors succeeded."""

from __future__ import annotations

import pytest
import structlog

from imgsync.apply.end_of_run import list_left, list_successes, record_end
from imgsync.apply.report import Outcome, Report, Result
from imgsync.concurrency.native_thread import NativeThread
from imgsync.config.model import Config, Mirror, RegistriesConfig, Source
from imgsync.plan.model import Action, PlanError
from imgsync.state import open_state
from tests.support.plans import change

ERROR = PlanError("a", "s.io/app", "503", "try again later")


def report(**results: Result) -> Report:
    """Return a report with the outcome of each tag, named t1, t2 and so on."""
    return Report("abcd1234", tuple(Outcome(change(tag=tag), result) for tag, result in results.items()))


def tags(destinations: list[str]) -> list[str]:
    return [destination.rpartition(":")[2] for destination in destinations]


def test_remaining_images_are_left_those_that_wait_longest_first():
    """The order of the last run is kept; new ones follow in the order of the plan."""
    ended = report(t1=Result.REMAINING, t2=Result.COPIED, t3=Result.REMAINING, t4=Result.REMAINING, t5=Result.FAILED)

    assert tags(list_left(ended, ["r.io/m/app:t4", "r.io/m/app:t3"], sees_all=True)) == ["t4", "t3", "t1"]


def test_remaining_deletions_keep_no_place():
    """Each run finds them again, and deletes last."""
    ended = Report("abcd1234", (Outcome(change(Action.DELETE, "old"), Result.REMAINING), Outcome(change(tag="new"), Result.REMAINING)))

    assert tags(list_left(ended, [], sees_all=True)) == ["new"]


@pytest.mark.parametrize(
    ("errors", "sees_all", "left"), [((), True, []), ((), False, ["t9"]), ((ERROR,), True, ["t9"])], ids=["all seen", "only some mirrors", "a plan error"]
)
def test_what_a_run_did_not_cover_stays_left(errors, sees_all, left):
    """A run of some mirrors, or with an error in its plan, does not know what became of the others."""
    ended = Report("abcd1234", report(t1=Result.COPIED).outcomes, errors)

    assert tags(list_left(ended, ["r.io/m/app:t1", "r.io/m/app:t9"], sees_all=sees_all)) == left


@pytest.mark.parametrize("result", Result)
def test_mirror_succeeds_unless_an_image_failed_was_refused_or_is_left(result):
    """Kept and held images are as declared; a suspended mirror did nothing."""
    config = Config((Mirror("a", Source("s.io"), ()), Mirror("b", Source("s.io"), ()), Mirror("c", Source("s.io"), (), suspend=True)), RegistriesConfig())
    is_bad = result in {Result.FAILED, Result.REFUSED, Result.REMAINING}

    assert list_successes(report(t1=result), config) == (["b"] if is_bad else ["a", "b"])
    assert list_successes(Report("abcd1234", (), (ERROR,)), config) == ["b"]


@pytest.mark.parametrize(
    ("succeeded_at", "ends"),
    [("2026-03-02T10:00:01Z", True), ("2026-03-02T10:00:00Z", False), (None, False)],
    ids=["since then", "at that very moment", "never"],
)
def test_interruption_is_over_once_each_mirror_succeeded(succeeded_at, ends, tmp_path):
    """Mirrors with schedules of their own are never all in one run."""
    mirrors = [Mirror(name, Source("s.io"), ()) for name in "ab"]
    config = Config((mirrors[0],), RegistriesConfig(), is_complete=False, others=(mirrors[1],))
    with open_state(str(tmp_path / "state"), thread=NativeThread(), lock_timeout_seconds=0, on_warning=pytest.fail) as state:
        state.begin_copies("2026-03-02T10:00:00Z")
    with open_state(str(tmp_path / "state"), thread=NativeThread(), lock_timeout_seconds=0, on_warning=pytest.fail) as state:
        if succeeded_at is not None:
            state.record_run_end(remaining=(), successes=["b"], requeues=0, moment=succeeded_at, covers_all=False)
        state.begin_copies("2026-03-02T10:05:00Z")
        assert (state.was_interrupted, state.interrupted_at) == (True, "2026-03-02T10:00:00Z")
        record_end(report(t1=Result.COPIED), config, state, requeues=0, log=structlog.get_logger())
    with open_state(str(tmp_path / "state"), thread=NativeThread(), lock_timeout_seconds=0, on_warning=pytest.fail) as state:
        state.begin_copies("2026-03-02T10:10:00Z")
        assert state.was_interrupted is not ends
