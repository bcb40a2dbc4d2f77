"""
Find what an earlier run of the same shard applied.

A shard that was killed runs again without a record of what it did. So before a shard copies, it asks the destinations that its state does not know
for their tags: two requests for a new repository, one per tag for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Config, Mirror
from imgsync.errors import ImgsyncError
from imgsync.oci.spec.reference import Reference
from imgsync.plan.context import PlanContext
from imgsync.plan.model import Action, Change, Plan, get_pushed_digest
from imgsync.plan.packed_changes import pack_changes

APPLIED = "applied since the plan was made"


def keep_applied(plan: Plan, config: Config, context: PlanContext) -> Plan:
    """Return *plan*, keeping tags that already serve what it pushes."""
    mirrors = {mirror.name: mirror for mirror in config.mirrors}
    unknown = [change for change in plan.copies if change.mirror in mirrors and context.state.get(str(change.destination)) is None]
    limit = max((mirror.concurrency.queries for mirror in config.mirrors), default=1)
    served: Mapping[Reference, str | None] = dict(map_unordered(lambda change: _look_up(change, mirrors[change.mirror], context), unknown, limit=limit))
    return replace(plan, changes=pack_changes(_keep_if_applied(change, served.get(change.destination)) for change in plan.changes))


def _look_up(change: Change, mirror: Mirror, context: PlanContext) -> tuple[Reference, str | None]:
    client = context.registries.make_destination_client(change.destination.repository.registry, mirror, check=context.stop.raise_if_requested)
    try:
        return change.destination, context.destination_tags.resolve(client, change.destination)
    except ImgsyncError:
        # After a stop nothing is copied, and what is wrong with the destination the copy reports.
        return change.destination, None


def _keep_if_applied(change: Change, served: str | None) -> Change:
    # An update to the digest that was there before brings missing parts.
    if served is None or served != get_pushed_digest(change) or served == change.destination_digest:
        return change
    return replace(change, action=Action.KEEP, destination_digest=served, reason=APPLIED)
