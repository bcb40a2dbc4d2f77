"""Estimate what a plan costs: bytes, requests and pulls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from imgsync.oci.spec.reference import Repository
from imgsync.plan.mirror_plan import MirrorPlan
from imgsync.plan.model import PullCost
from imgsync.registries.clients import Registries
from imgsync.state import StateStore


def sum_transfer_bytes(mirrors: Iterable[MirrorPlan], state: StateStore) -> int:
    """
    Sum the blobs to transfer.

    Each counts once per destination registry; blobs known to exist there do not count. Where a recorded tag is lost, its repository may have
    lost the blobs too, so only other repositories are believed.
    """
    sizes: dict[tuple[str, str], int] = {}
    for one in mirrors:
        for destination, blobs in one.blobs.items():
            registry = destination.repository.registry
            doubted = {destination.repository.path} if destination in one.lost else set()
            for blob in blobs:
                known = set(state.find_blob_repositories(registry, blob.digest)) - doubted
                sizes[registry, blob.digest] = max(sizes.get((registry, blob.digest), 0), 0 if known else blob.size_bytes)
    return sum(sizes.values())


def count_requests(registries: Registries) -> Iterator[tuple[str, int]]:
    """Yield each side and its number of requests so far."""
    for origin in ("source", "destination"):
        yield origin, sum(sum(count.values()) for count in registries.count_requests(origin).values())


def estimate_requests(mirrors: Iterable[MirrorPlan], *, asks_sources: bool = True) -> Iterator[tuple[str, int]]:
    """
    Yield each side and the most requests that applying needs.

    The estimate assumes an empty destination. Source: one per manifest and blob, none unless *asks_sources*. Destination: two per uploaded blob,
    one per mounted blob, one per manifest.
    """
    read: set[str] = set()
    moved: set[tuple[str, str]] = set()
    placed: set[tuple[Repository, str]] = set()
    pushes = 0
    for one in mirrors:
        pushes += one.pushes
        read |= one.manifests
        for destination, blobs in one.blobs.items():
            moved.update((destination.repository.registry, blob.digest) for blob in blobs)
            placed.update((destination.repository, blob.digest) for blob in blobs)
    yield "source", len(read) + len({digest for _, digest in moved}) if asks_sources else 0
    yield "destination", len(moved) + len(placed) + pushes


def estimate_pulls(mirrors: Iterable[MirrorPlan], registries: Registries) -> Iterator[PullCost]:
    """Yield the pulls needed from each registry that counts them."""
    manifests: dict[str, set[str]] = defaultdict(set)
    for one in mirrors:
        manifests[one.mirror.source.registry] |= one.manifests
    for registry, digests in sorted(manifests.items()):
        left = registries.get_pull_quota(registry)
        if left is not None and digests:
            yield PullCost(registry, len(digests), left.remaining, left.limit, left.window_seconds)
