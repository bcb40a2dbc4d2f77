"""Rebuild the state from the destinations, without copying."""

from __future__ import annotations

from imgsync.apply.tag_owner import TagOwners
from imgsync.apply.unchanged_tags import UnchangedTags
from imgsync.config.model import Config
from imgsync.plan.context import PlanContext
from imgsync.plan.model import Action, Change, Plan
from imgsync.state import StateStore
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How many tags were recorded and left, how many records removed."""

    recorded: int
    left: int
    removed: int


def rebuild_state(plan: Plan, config: Config, context: PlanContext) -> Rebuilt:
    """
    Record the tags that *plan* found up to date; remove contradicted records.

    The plan must come from asking the destinations, not the state.

    Raises:
        StateError: The state cannot be written.
    """
    state = context.state
    found = UnchangedTags({mirror.name: mirror for mirror in config.mirrors}, TagOwners(config), context)
    for change in plan.iter_changes():
        if change.action is Action.KEEP:
            found.add(change, state.get(str(change.destination)))
        if found.is_full:
            state.put(found.adopted, referrers=found.referrers)
            found.clear()
    state.put(found.adopted, referrers=found.referrers)
    removed = state.remove(str(change.destination) for change in plan.iter_changes() if _is_contradicted(change, state))
    counts = plan.counts
    kept = counts[Action.KEEP.value]
    return Rebuilt(kept, sum(counts.values()) - kept, removed)


def _is_contradicted(change: Change, state: StateStore) -> bool:
    """Return whether the destination serves another digest than recorded."""
    # For a held tag, the destination may not have been asked.
    record = state.get(str(change.destination))
    return record is not None and change.action is not Action.HOLD and record.digest != change.destination_digest
