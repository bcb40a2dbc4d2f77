"""What one shard of a plan did, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from imgsync.apply.report import Outcome, Report, SharedCopies
from imgsync.partition.shard import Shard
from imgsync.plan.model import PlanError
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """What a state record needs beside the plan."""

    applied_at: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests to one registry by method, and bytes of blobs sent."""

    side: str
    registry: str
    requests: dict[str, int]
    bytes_copied: int = 0


@dataclass(frozen=True, slots=True)
class FoundBlobs:
    """Content of one destination repository; sizes are None if unknown."""

    repository: str
    found: dict[str, int | None]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShardOutcome:
    """
    What one shard did.

    `outcomes` lack the tags that the plan keeps and that stayed so. `partition` identifies the plan with its content. `records` are by destination.
    `errors` are of this run, not of the plan. `exit_code` is that of the process. `throttled` counts
    rate-limit responses by registry.
    """

    plan_id: str
    partition: str
    shard: Shard
    version: str
    created_at: str
    exit_code: int
    stopped: str = ""
    seconds: float = 0.0
    outcomes: tuple[Outcome, ...] = ()
    records: Mapping[str, RecordFacts] = field(default_factory=dict)
    shared: tuple[SharedCopies, ...] = ()
    blobs: tuple[FoundBlobs, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    throttled: Mapping[str, int] = field(default_factory=dict)
    errors: tuple[PlanError, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def report(self) -> Report:
        """Return it as the report of one run."""
        return Report(
            self.plan_id,
            self.outcomes,
            self.errors,
            seconds=self.seconds,
            stopped=self.stopped,
            notes=self.notes,
            created_at=self.created_at,
            shared=self.shared,
        )
