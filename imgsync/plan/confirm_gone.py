"""
Ask the source for each gone tag before its deletion.

A list may lack tags that the source still serves. Nothing else about gone tags sends a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imgsync.concurrency.workers import map_unordered
from imgsync.errors import ImgsyncError
from imgsync.plan.context import PlanContext
from imgsync.plan.gone_tag import Absence, GoneTag
from imgsync.plan.mirror_plan import MirrorPlan
from imgsync.plan.prunable import is_prunable


def confirm_gone(mirrors: Sequence[MirrorPlan], context: PlanContext) -> None:
    """Note which gone tags of *mirrors* the source does not deny."""
    for one in mirrors:
        if any(tag.is_deletable and is_prunable(one.mirror, tag.destination, gone=True) for tag in one.gone):
            one.gone = _confirm(one, context)


def _confirm(result: MirrorPlan, context: PlanContext) -> list[GoneTag]:
    client = context.registries.make_source_client(result.mirror, check=context.stop.raise_if_requested)

    def confirm(tag: GoneTag) -> GoneTag:
        if not (tag.is_deletable and is_prunable(result.mirror, tag.destination, gone=True)):
            return tag
        try:
            found = client.resolve(tag.source)
        except ImgsyncError:
            return replace(tag, reason=Absence.UNCONFIRMED)
        return tag if found is None else replace(tag, reason=Absence.HIDDEN)

    return list(map_unordered(confirm, result.gone, limit=result.mirror.concurrency.queries))
