"""What a plan costs: bytes to move, requests that planning took, pulls that applying will."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from imgsync.plan.gathered import MirrorPlan
from imgsync.plan.model import PullCost
from imgsync.registries import Registries
from imgsync.state import StateStore


def transfer_bytes(mirrors: Iterable[MirrorPlan], state: StateStore) -> int:
    """Sum the blobs to move, each once per destination registry, less those the state knows to be there."""
    sizes: dict[tuple[str, str], int] = {}
    for one in mirrors:
        for destination, blobs in one.blobs.items():
            registry = destination.partition("/")[0]
            for blob in blobs:
                if (registry, blob.digest) not in sizes:
                    known = bool(state.blob_repositories(registry, blob.digest))
                    sizes[registry, blob.digest] = 0 if known else blob.size_bytes
    return sum(sizes.values())


def requests(registries: Registries) -> Iterator[tuple[str, int]]:
    """Yield each side and the requests sent to it so far."""
    for origin in ("source", "destination"):
        yield origin, sum(sum(count.values()) for count in registries.requests(origin).values())


def pull_costs(mirrors: Iterable[MirrorPlan], registries: Registries) -> Iterator[PullCost]:
    """Yield what each source registry that counts pulls will count: every manifest of what is pending, each once."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for one in mirrors:
        wanted[one.mirror.source.registry] |= one.manifests
    for registry, digests in sorted(wanted.items()):
        left = registries.pulls_left(registry)
        if left is not None and digests:
            yield PullCost(registry, len(digests), left.remaining, left.limit, left.window_seconds)
