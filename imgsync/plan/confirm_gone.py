"""
Ask the source for each gone tag before its deletion.

A list may lack tags that the source still serves. Nothing else about gone tags sends a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Mirror
from imgsync.errors import ImgsyncError
from imgsync.plan.context import PlanContext
from imgsync.plan.gone_tag import Absence, GoneTag
from imgsync.plan.mirror_plan import MirrorPlan
from imgsync.plan.prunable import is_prunable


def confirm_gone(mirrors: Sequence[MirrorPlan], context: PlanContext) -> None:
    """Note which gone tags of *mirrors* the source does not deny."""
    for one in mirrors:
        doubtful = [tag for tag in one.gone if tag.is_deletable and is_prunable(one.mirror, tag.destination, gone=True)]
        if doubtful:
            confirmed = {tag.destination: tag for tag in _confirm(one.mirror, doubtful, context)}
            one.gone = [confirmed.get(tag.destination, tag) for tag in one.gone]


def _confirm(mirror: Mirror, doubtful: Iterable[GoneTag], context: PlanContext) -> Iterable[GoneTag]:
    client = context.registries.make_source_client(mirror, check=context.stop.raise_if_requested)

    def confirm(tag: GoneTag) -> GoneTag:
        try:
            found = client.resolve(tag.source)
        except ImgsyncError:
            return replace(tag, reason=Absence.UNCONFIRMED)
        return tag if found is None else replace(tag, reason=Absence.HIDDEN)

    return map_unordered(confirm, doubtful, limit=mirror.concurrency.queries)
