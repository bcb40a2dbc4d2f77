"""Rebuild the state from the destinations, without copying."""

from __future__ import annotations

from imgsync.apply.adopt import adopt_kept_tag, summarize_referrers
from imgsync.apply.tag_owner import TagOwners
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
    mirrors = {mirror.name: mirror for mirror in config.mirrors}
    kept = [change for change in plan.iter_changes() if change.action is Action.KEEP]
    owners = TagOwners(config)
    known = [(change, state.get(str(change.destination))) for change in kept]
    found = [adopt_kept_tag(change, record, mirrors[change.mirror], owner=owners.find(change, record), context=context) for change, record in known]
    seen = [one for change in kept for one in summarize_referrers(change, mirrors[change.mirror], context=context)]
    state.put([record for record in found if record is not None], referrers=seen)
    removed = state.remove(str(change.destination) for change in plan.iter_changes() if _is_contradicted(change, state))
    return Rebuilt(len(kept), sum(plan.counts.values()) - len(kept), removed)


def _is_contradicted(change: Change, state: StateStore) -> bool:
    """Return whether the destination serves another digest than recorded."""
    # For a held tag, the destination may not have been asked.
    record = state.get(str(change.destination))
    return record is not None and change.action is not Action.HOLD and record.digest != change.destination_digest
