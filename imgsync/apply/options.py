"""The options of a run."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol

from imgsync.apply.time_limits import TimeLimits
from imgsync.plan.model import Plan
from imgsync.plan.safety import SafetyLimits
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.apply.copy_change import FinishedChange
    from imgsync.apply.shard_part import ShardPart
    from imgsync.transfer import KnownBlobs


class Delivery(Protocol):
    """Takes finished changes, to be recorded."""

    @property
    def waiting_count(self) -> int:
        """Return how many are not recorded yet."""

    def deliver(self, result: FinishedChange) -> None:
        """Have *result* recorded."""


class Fleet(Protocol):
    """Other machines that copy images for this run."""

    def connect(self) -> None:
        """Return once the others can be reached, or raise an error."""

    def run(self, plan: Plan, mirrors: Collection[str], delivery: Delivery) -> None:
        """Have the copies for *mirrors* made; return when they ended."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """
    The limits of a run; with `fail_fast`, a failure ends it.

    `approve` is called with a plan that has changes, before any of them begins. It raises an error if they must not be applied.
    `shard` is set if the plan is a part of a saved one, `fleet` if other machines copy.
    `known_blobs` says which blobs the destinations have, if more is known than the state has.
    """

    time_limits: TimeLimits
    safety_limits: SafetyLimits
    fail_fast: bool = False
    approve: Callable[[Plan], None] | None = None
    shard: ShardPart | None = None
    fleet: Fleet | None = None
    known_blobs: KnownBlobs | None = None

    @property
    def needs_whole_plan(self) -> bool:
        """Return whether nothing may begin before the plan is complete."""
        return self.approve is not None or self.safety_limits.is_set or self.shard is not None or self.fleet is not None
