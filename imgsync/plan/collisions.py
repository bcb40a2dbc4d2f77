"""Find destinations that several sources would write."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from imgsync.oci.spec.reference import Reference
from imgsync.plan.mirror_plan import MirrorPlan
from imgsync.plan.model import Change, PlanError


def reject_collisions(mirrors: Sequence[MirrorPlan]) -> None:
    """
    Reject changes with the same destination but different sources.

    Such changes become errors; repetitions of one change are dropped.
    """
    counts = Counter(change.destination for one in mirrors for change in one.changes)
    shared: dict[Reference, list[Change]] = defaultdict(list)
    for one in mirrors:
        for change in one.changes:
            if counts[change.destination] > 1:
                shared[change.destination].append(change)
    for one in mirrors:
        one.changes = [change for change in one.changes if counts[change.destination] == 1 or _is_kept(change, one, shared)]


def _is_kept(change: Change, result: MirrorPlan, shared: Mapping[Reference, Sequence[Change]]) -> bool:
    """Return whether *change* stays; report a collision in *result*."""
    rivals = shared[change.destination]
    others = sorted({str(rival.source) for rival in rivals} - {str(change.source)})
    if not others:
        return rivals[0] is change
    message = f"would be written from {change.source} and from {', '.join(others)}"
    result.errors.append(PlanError(result.mirror.name, str(change.destination), message, "give one of them another destination"))
    result.blobs.pop(change.destination, None)
    return False
