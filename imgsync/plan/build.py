"""
Plan a whole configuration, without changing anything.

An error concerns one mirror, repository or tag; the others are still planned.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Config
from imgsync.errors import StoppedError
from imgsync.filters.natural_order import make_natural_key
from imgsync.filters.quote_tags import quote_tags
from imgsync.plan.collisions import reject_collisions
from imgsync.plan.confirm_gone import confirm_gone
from imgsync.plan.context import PlanContext
from imgsync.plan.cost import count_requests, estimate_pulls, estimate_requests, sum_transfer_bytes
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.kept_changes import KeptChanges, make_key
from imgsync.plan.mirror_part import find_part, report_unmatched
from imgsync.plan.mirror_plan import MirrorPlan
from imgsync.plan.model import Action, Change, MirrorNotes, Plan, PlanError
from imgsync.plan.packed_changes import pack_changes
from imgsync.plan.plan_mirror import MirrorPlanner
from imgsync.plan.prune import prune
from imgsync.plan.ready import OnPending, ReadyChanges
from imgsync.plan.settle_gone import settle_gone
from imgsync.text.units import format_timestamp

if TYPE_CHECKING:
    from imgsync.plan.content import PlanContent

_MIRRORS_AT_ONCE = 4
# The kept ones follow.
_ORDER = (Action.DELETE, Action.CREATE, Action.UPDATE, Action.REFUSE, Action.HOLD)


def build_plan(config: Config, context: PlanContext, *, on_pending: OnPending | None = None, keeps_content: bool = False) -> Plan:
    """
    Plan the changes that *config* requires.

    If stopped, the plan has what is known so far, and an error for each unfinished mirror.

    Args:
        config: The declared mirrors.
        context: What planning reads from.
        on_pending: Called with pending changes as soon as they are certain; each of them is also in the plan.
        keeps_content: Whether the plan says what copying brings to each repository.
    """
    began = time.monotonic()
    # Earlier requests, such as those for a remote state, do not belong to the plan.
    before = Counter(dict(count_requests(context.registries)))
    ready = ReadyChanges(config.mirrors, on_pending)
    mirrors = [MirrorPlan(mirror, KeptChanges(mirror.name), part=find_part(mirror, config.only, config.within)) for mirror in config.mirrors]
    _plan_mirrors(MirrorPlanner(context, ready), mirrors)
    reject_collisions(mirrors)
    if not config.only_may_miss:
        report_unmatched(mirrors, config.only)
    settle_gone(mirrors, context.state)
    confirm_gone(mirrors, context)
    if not_pruned := prune(config, mirrors, context.state):
        context.log.info("prune.skipped", reason=not_pruned)
    uncompared = context.destination_tags.uncompared
    changes = pack_changes(change for one in mirrors for change in sorted(one.changes, key=_make_sort_key))
    plan = Plan(
        changes=changes,
        errors=tuple(error for one in mirrors for error in one.errors),
        mirrors=tuple(_make_notes(one, uncompared) for one in mirrors),
        transfer_bytes=sum_transfer_bytes(mirrors, context.state),
        created_at=format_timestamp(context.now, milliseconds=True),
        # Copies that began early send requests as well, and the counts do not tell them apart.
        requests=() if ready.has_released else tuple((side, count - before[side]) for side, count in count_requests(context.registries)),
        seconds=round(time.monotonic() - began, 3),
        applying=tuple(estimate_requests(mirrors, asks_sources=config.within is None)),
        pulls=tuple(estimate_pulls(mirrors, context.registries)),
        uncompared=tuple(sorted(uncompared)),
        gone=tuple(tag for one in mirrors for tag in sorted(one.gone, key=_make_gone_key)),
        content=_collect_content(changes, mirrors, context) if keeps_content else None,
        kept=tuple(one.kept for one in mirrors),
    )
    # Computed once, since it reads every change.
    return replace(plan, known_id=plan.id)


def _collect_content(changes: Iterable[Change], mirrors: Iterable[MirrorPlan], context: PlanContext) -> PlanContent:
    # Imported now: only a plan that is saved keeps it.
    from imgsync.plan.collect_content import collect_content

    return collect_content(changes, mirrors, context)


def _plan_mirrors(planner: MirrorPlanner, mirrors: list[MirrorPlan]) -> None:
    try:
        for _ in map_unordered(planner.plan, mirrors, limit=_MIRRORS_AT_ONCE):
            pass
    except StoppedError as error:
        for one in mirrors:
            if not one.whole:
                one.errors.append(PlanError(one.mirror.name, one.mirror.source.registry, error.message, "run again for the rest", later=True))


def _make_sort_key(change: Change) -> tuple[object, ...]:
    return _ORDER.index(change.action), make_key(change)


def _make_gone_key(tag: GoneTag) -> tuple[object, ...]:
    return make_natural_key(str(tag.source)), make_natural_key(str(tag.destination))


def _make_notes(one: MirrorPlan, uncompared: Collection[str]) -> MirrorNotes:
    mirror = one.mirror
    skipped = sorted({destination.registry for destination in mirror.destinations} & set(uncompared))
    if skipped:
        one.notes.append(f"{', '.join(skipped)} was not compared: it requires a login, and no credentials are configured")
    if one.returned:
        one.notes.append(f"back at the source: {quote_tags(sorted(one.returned))}")
    return MirrorNotes(
        mirror=mirror.name,
        source=mirror.source.registry,
        destinations=tuple(target.place for target in mirror.destinations),
        file=mirror.file,
        line=mirror.line,
        suspended=mirror.suspend,
        notes=tuple(one.notes),
        steps=one.steps,
        pruning_skipped=one.pruning_skipped,
        returned=tuple(sorted(one.returned)),
    )
