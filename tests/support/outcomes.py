"""Errors of a finished run."""

from __future__ import annotations

from tests.support.run_imgsync import Result


def error_of(ran: Result) -> str:
    """Return the one error of a failed plan or apply."""
    assert ran.code == 1, ran.stderr
    errors = [one["message"] for one in ran.json["errors"]] + [one["error"] for one in ran.json.get("outcomes", []) if one["error"]]
    assert len(errors) == 1, errors
    return str(errors[0])


def errors_of(ran: Result) -> list[str]:
    """Return what the run says went wrong, with plan and images alike."""
    return [error for outcome in ran.json["outcomes"] if (error := outcome["error"])] + [event["error"] for event in ran.events("plan.failed")]


def only_error(ran: Result) -> str:
    (error,) = errors_of(ran)
    assert ran.code == 1
    return str(error)


def only_plan_error(ran: Result) -> str:
    """Return the one error of a plan."""
    assert ran.code == 1, ran.stdout
    (error,) = ran.json["errors"]
    return str(error["message"])


def errors_by_repository(ran) -> dict[str, str]:
    """Return the errors of images and of planning, by repository."""
    found = {outcome["source"].rpartition(":")[0].rpartition("/")[2]: outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"]}
    return found | {error["reference"].rpartition("/")[2].partition(":")[0]: error["message"] for error in ran.json["errors"]}
