"""Collect what the copies of a plan bring to each destination repository."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.content import PlanContent, RepositoryContent, SharedBlob
from imgsync.plan.context import PlanContext
from imgsync.plan.mirror_plan import MirrorPlan
from imgsync.plan.model import COPIES, Change

# A blob at a destination registry, and the source registry that gives it: another source may not have it, and must not get it published.
_Place = tuple[str, str, str]


def collect_content(changes: Iterable[Change], mirrors: Iterable[MirrorPlan], context: PlanContext) -> PlanContent:
    """Return what *changes* bring, as *mirrors* have read it."""
    blobs: dict[Reference, tuple[Descriptor, ...]] = {}
    kept_before: dict[str, int] = {}
    kept = 0
    for one in mirrors:
        blobs.update(one.blobs)
        kept_before[one.mirror.name] = kept
        kept += len(one.kept)
    # As the plan's document numbers them, in which the kept tags of a mirror follow its changes.
    needs = _list_needs(((number + kept_before[change.mirror], change) for number, change in enumerate(changes)), blobs)
    totals: dict[Repository, list[int]] = {change.destination.repository: [0, 0] for change in changes if change.action in COPIES}
    for change in changes:
        if change.action in COPIES:
            # Its manifest is read at the source and pushed.
            totals[change.destination.repository][1] += 2
    for (registry, _, digest), (size_bytes, _, users) in needs.items():
        is_new = len(users) == 1 and not context.state.find_blob_repositories(registry, digest)
        for repository in users:
            totals[repository][0] += size_bytes if is_new else 0
            totals[repository][1] += 3 if is_new else 1
    return PlanContent(
        tuple(RepositoryContent(str(one), totals[one][0], totals[one][1], _has_content(one, context)) for one in sorted(totals)),
        tuple(
            SharedBlob(digest, size_bytes, tuple(users.values()))
            for (_, _, digest), (size_bytes, is_external, users) in sorted(needs.items())
            if len(users) > 1 and not is_external
        ),
    )


def _list_needs(
    changes: Iterable[tuple[int, Change]], blobs: Mapping[Reference, Sequence[Descriptor]]
) -> dict[_Place, tuple[int, bool, dict[Repository, int]]]:
    """Return size, externality and users of each blob, with their first changes."""
    needs: dict[_Place, tuple[int, bool, dict[Repository, int]]] = {}
    for number, change in changes:
        if change.action in COPIES:
            repository, source = change.destination.repository, change.source.repository.registry
            for blob in blobs.get(change.destination, ()):
                known = needs.setdefault((repository.registry, source, blob.digest), (blob.size_bytes, blob.is_external, {}))
                known[2].setdefault(repository, number)
    return needs


def _has_content(repository: Repository, context: PlanContext) -> bool:
    return context.destination_tags.has_tags(repository) or context.state.has_blobs_of(repository.registry, repository.path)
