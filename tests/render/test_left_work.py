"""Why a run left work, in the words of what happened."""

from __future__ import annotations

from imgsync.apply.report import Outcome, Report, Result
from imgsync.plan.model import Action, PlanError
from imgsync.render.junit import render_report_junit
from imgsync.render.left_work import describe_errors, describe_left, name_errors
from imgsync.render.report_mirrors import list_counts, sum_mirrors
from tests.support.plans import change

_PLANNING = PlanError("a", "s.io/x", "no")
_APPLYING = PlanError("a", "shard 2/2", "no outcome of shard 2/2 was given", planned=True)


def _left(*errors: str | None, failed: bool = False, stopped: str = "") -> str:
    outcomes = [Outcome(change(tag=str(number)), Result.REMAINING, error=error) for number, error in enumerate(errors)]
    outcomes += [Outcome(change(tag="f"), Result.FAILED, error="507")] if failed else []
    return describe_left(Report("abcd1234", tuple(outcomes), stopped=stopped), f"{len(errors)} left")


def test_failed_image_is_the_reason_only_where_one_failed():
    """With --fail-fast. A shard that is missing, or a delete that waits, says so."""
    assert _left(None, failed=True) == "Stopped (an image failed): 1 left. Run it again to continue."
    assert _left("shard 2/2 has no outcome", "shard 2/2 has no outcome", failed=True) == "2 left (shard 2/2 has no outcome)."
    assert _left("not deleted: other images") == "1 left (not deleted: other images)."
    assert _left(None) == "1 left."
    assert _left("a", "b", "c") == "3 left."
    assert _left(None, stopped="interrupted") == "Stopped (interrupted): 1 left. Run it again to continue."


def test_errors_are_of_planning_or_of_applying():
    """In the summary, in titles, in JUnit and in the HTML report."""
    both = Report("abcd1234", (), (_PLANNING, _APPLYING))

    assert describe_errors(both, "could not be planned") == ["1 could not be planned", "1 error"]
    assert [name_errors(errors) for errors in ([_PLANNING], [_APPLYING], both.errors)] == ["Could not be planned", "Not applied", "Errors"]
    assert all(f'type="{kind}"' in render_report_junit(both) for kind in ("unplanned", "not-applied"))
    assert [(count.name, count.count) for count in list_counts(both)] == [("Not planned", "1"), ("Not applied", "1"), ("Copied", "0")]
    assert sum_mirrors(both)["a"].results == {"errors": 1, "unapplied": 1}


def test_delete_that_waits_has_an_error_of_its_own():
    """So it is never the work that a failed image left."""
    waiting = Outcome(change(Action.DELETE, tag="d"), Result.REMAINING, error="not deleted: other images of this mirror are not as declared yet")

    assert "an image failed" not in describe_left(Report("abcd1234", (waiting, Outcome(change(), Result.FAILED, error="507"))), "1 left")
