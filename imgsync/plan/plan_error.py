"""Turn errors into errors of the plan, which cost one thing alone."""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.config.model import Mirror
from imgsync.errors import ImgsyncError, LimitReachedError, StoppedError, UsageError
from imgsync.oci.spec.reference import Reference
from imgsync.plan.model import PlanError


def make_plan_error(mirror: Mirror, reference: str, error: ImgsyncError) -> PlanError:
    """
    Return *error* as the error of *reference*.

    Whatever the source's data cause is an error of the plan (exit code 1). Only a stop and an error of the configuration end planning.

    Raises:
        StoppedError: *error*, which stops the whole plan.
        UsageError: *error*, such as a TLS file that cannot be used.
    """
    later = isinstance(error, LimitReachedError)
    if isinstance(error, UsageError) or (isinstance(error, StoppedError) and not later):
        raise error
    return PlanError(mirror.name, reference, error.message, error.advice, later=later)


def make_missing_error(mirror: Mirror, reference: Reference, hint: str, *, lacking: Sequence[Reference] = ()) -> PlanError:
    """Return the error of an exact name that does not exist."""
    places = f", and {', '.join(map(str, lacking))} does not have it" if lacking else ""
    return PlanError(mirror.name, str(reference), f"does not exist at the source{places}", hint)


def make_mirror_error(mirror: Mirror, message: str, hint: str) -> PlanError:
    """Return an error about *mirror* as a whole."""
    return PlanError(mirror.name, mirror.source.registry, message, hint)
