"""Find destinations that several sources would write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from itertools import chain, pairwise

from imgsync.oci.spec.reference import Reference
from imgsync.plan.mirror_plan import PLACES, MirrorPlan
from imgsync.plan.model import Change, PlanError


def reject_collisions(mirrors: Sequence[MirrorPlan]) -> None:
    """
    Reject changes with the same destination but different sources.

    Such changes become errors; repetitions of one change are dropped.
    """
    repeated = _find_repeated(mirrors)
    if not repeated:
        return
    sources: dict[Reference, list[str]] = defaultdict(list)
    for one in mirrors:
        for change in one.iter_changes():
            if hash(str(change.destination)) in repeated:
                sources[change.destination].append(str(change.source))
    shared = {destination: frozenset(found) for destination, found in sources.items() if len(found) > 1}
    placed: set[Reference] = set()
    for one in mirrors:
        one.changes = [change for change in one.changes if _is_placed(change, one, shared, placed)]
        one.kept = one.kept.select(lambda change, one=one: _is_placed(change, one, shared, placed))  # type: ignore[misc]


def _find_repeated(mirrors: Sequence[MirrorPlan]) -> Set[int]:
    """Return the hashes that several destinations have; most are of equal ones."""
    # A set of a million references would need more memory than the rest of the plan.
    parts = (sorted(chain.from_iterable(one.places[part] for one in mirrors)) for part in range(PLACES))
    return {place for part in parts for place, following in pairwise(part) if place == following}


def _is_placed(change: Change, result: MirrorPlan, shared: Mapping[Reference, Set[str]], placed: set[Reference]) -> bool:
    """Return whether *change* stays; report a collision in *result*."""
    if change.destination not in shared:
        return True
    others = sorted(shared[change.destination] - {str(change.source)})
    if not others:
        is_first = change.destination not in placed
        placed.add(change.destination)
        return is_first
    message = f"would be written from {change.source} and from {', '.join(others)}"
    result.errors.append(PlanError(result.mirror.name, str(change.destination), message, "give one of them another destination"))
    result.blobs.pop(change.destination, None)
    return False
