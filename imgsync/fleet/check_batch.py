"""
Check a batch against the machine's own declarations and settings.

A worker believes no message: what its own mirrors.d does not declare, it does not copy. Allow-list and policies of its own registries.yaml apply when
it copies.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from imgsync.apply.batch import Batch
from imgsync.config.model import Config
from imgsync.errors import UsageError
from imgsync.oci.spec.reference import parse_repository
from imgsync.plan.saved import check_declared
from imgsync.text.units import format_timestamp, parse_timestamp

_SAME = "give every machine the same mirrors.d"

# A batch waits for a worker, then has its budget. What is older may be a message sent again by others, and would move tags back.
_MOST_AGE = timedelta(hours=2)
_CLOCKS = timedelta(minutes=5)


def is_for(batch: Batch, config: Config) -> bool:
    """Return whether *batch* was made for the declarations in *config*."""
    declared = {mirror.name: mirror.declaration_digest for mirror in config.mirrors}
    return all(declared.get(name) == digest for name, digest in batch.declarations.items())


def check_batch(batch: Batch, config: Config, *, now: datetime) -> None:
    """
    Return if the declarations in *config* allow *batch*.

    Raises:
        UsageError: It is too old, was made for other declarations, or exceeds them.
    """
    sent = parse_timestamp(batch.created_at)
    if sent is None or not -_CLOCKS <= now - sent <= _MOST_AGE:
        raise UsageError(f"the batch was sent at {batch.created_at}, and here it is {format_timestamp(now)}", hint="compare the clocks of the machines")
    mirrors = {mirror.name: mirror for mirror in config.mirrors}
    for name, digest in batch.declarations.items():
        if name not in mirrors:
            raise UsageError(f"the batch is of a mirror '{name}', which is not declared here", hint=_SAME)
        if mirrors[name].declaration_digest != digest:
            raise UsageError(f"the batch was made for another declaration of the mirror '{name}'", hint=_SAME)
        if mirrors[name].tags.min_age_seconds is not None:
            raise UsageError(f"the mirror '{name}' has a min_age, which a worker cannot check", hint="only the coordinator copies its images")
    check_declared(batch.changes, config)
    repositories = {change.destination.repository for change in batch.changes}
    registries = {one.registry for one in repositories}
    for home in batch.homes:
        if parse_repository(home.repository).registry not in registries:
            raise UsageError(f"the batch names blobs of {home.repository}, and copies nothing to that registry")
