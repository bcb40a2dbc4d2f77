"""A state made anew from what the destinations serve: asked, compared with what is declared, remembered. Nothing is copied."""

from __future__ import annotations

from dataclasses import dataclass

from imgsync.apply.adopt import adopt_kept_tag, summarize_referrers
from imgsync.config.model import Config
from imgsync.plan.context import Inquiry
from imgsync.plan.model import Action, Change, Plan
from imgsync.state import StateStore


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How many tags are `remembered` as they are declared, how many are not so and `left` for apply, how many records were `forgotten`."""

    remembered: int
    left: int
    forgotten: int


def rebuild_state(plan: Plan, config: Config, context: Inquiry) -> Rebuilt:
    """
    Remember what the destinations serve, as *plan* found it by asking them, and forget the records that they contradict.

    Raises:
        StateError: It cannot be written.
    """
    state = context.state
    mirrors = {mirror.name: mirror for mirror in config.mirrors}
    kept = [change for change in plan.changes if change.action is Action.KEEP]
    found = [adopt_kept_tag(change, state.get(str(change.destination)), mirrors[change.mirror], context=context) for change in kept]
    seen = [one for change in kept for one in summarize_referrers(change, mirrors[change.mirror], context=context)]
    state.put([record for record in found if record is not None], referrers=seen)
    forgotten = state.remove(str(change.destination) for change in plan.changes if _is_contradicted(change, state))
    return Rebuilt(len(kept), len(plan.changes) - len(kept), forgotten)


def _is_contradicted(change: Change, state: StateStore) -> bool:
    """Return whether a record tells of another digest than the destination does; of what is held the destination may not have been asked."""
    record = state.get(str(change.destination))
    return record is not None and change.action is not Action.HOLD and record.digest != change.destination_digest
