"""Turn errors into errors of the plan, which cost one thing alone."""

from __future__ import annotations

from imgsync.config.model import Mirror
from imgsync.errors import ImgsyncError, LimitReachedError, StoppedError
from imgsync.plan.model import PlanError


def make_plan_error(mirror: Mirror, reference: str, error: ImgsyncError) -> PlanError:
    """
    Return *error* as the error of *reference*.

    Whatever the source's data cause is an error of the plan (exit code 1): the configuration was checked before.

    Raises:
        StoppedError: *error*, which stops the whole plan.
    """
    later = isinstance(error, LimitReachedError)
    if isinstance(error, StoppedError) and not later:
        raise error
    return PlanError(mirror.name, reference, error.message, error.hint, later=later)


def make_mirror_error(mirror: Mirror, message: str, hint: str) -> PlanError:
    """Return an error about *mirror* as a whole."""
    return PlanError(mirror.name, mirror.source.registry, message, hint)
