"""Make the batch of a part, with known manifests and blobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import imgsync
from imgsync.apply.batch import Batch, BatchBlob, BatchKind
from imgsync.apply.shard_outcome import FoundBlobs
from imgsync.config.model import Config
from imgsync.fleet.cut import Part
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.reference import Repository
from imgsync.plan.context import PlanContext
from imgsync.plan.model import Change, Plan
from imgsync.text.units import format_timestamp

BUDGET_SECONDS = 600.0
MOST_BUDGET_SECONDS = 1500.0
# In base64 a third more; the rest of a message is for changes and homes.
_MANIFEST_BYTES = 480 << 10
_MOST_HOMES = 2500
_MOST_TAGS = 100


class BatchMaker:
    """Makes the batches of one run."""

    def __init__(self, run: str, plan: Plan, config: Config, context: PlanContext, *, filled: frozenset[Repository]) -> None:
        """Say of the destination repositories *filled* that they had content."""
        self._run = run
        self._plan = plan
        self._declared = {mirror.name: mirror.declaration_digest for mirror in config.mirrors}
        self._context = context
        self._filled = filled

    def make(self, part: Part, *, number: int, attempt: int, workers: int, budget_seconds: float) -> Batch:
        """Return *part* as the batch *number*."""
        changes = part.changes
        manifests = {} if part.blobs else _find_manifests(changes, self._context)
        places = {change.destination: place for place, change in enumerate(changes)}
        return Batch(
            run=self._run,
            id=number,
            attempt=attempt,
            plan_id=self._plan.id,
            version=imgsync.__version__,
            created_at=format_timestamp(datetime.now(UTC)),
            kind=BatchKind.BLOBS if part.blobs else BatchKind.CHANGES,
            declarations={name: self._declared[name] for name in sorted({change.mirror for change in changes})},
            changes=changes,
            blobs=tuple(BatchBlob(one.blob.digest, one.blob.size_bytes, places[one.change.destination]) for one in part.blobs),
            homes=() if part.blobs else self._list_homes(changes, manifests),
            filled=tuple(sorted({str(one) for change in changes if (one := change.destination.repository) in self._filled or self._is_doubtful})),
            manifests=tuple(manifests.values()),
            referrer_tags={} if part.blobs else self._list_referrer_tags(changes),
            workers=max(1, workers),
            budget_seconds=budget_seconds,
        )

    @property
    def _is_doubtful(self) -> bool:
        """Return whether destinations may have more than the state says."""
        return self._context.state.was_interrupted or self._context.refresh

    def _list_referrer_tags(self, changes: Sequence[Change]) -> dict[str, tuple[str, ...]]:
        """Return the referrers' tags of the sources of *changes* that were listed."""
        repositories = {change.source.repository for change in changes}
        listed = {one: self._context.referrers.tags.get_listed(one) for one in sorted(repositories)}
        return {str(one): tuple(sorted(tags)) for one, tags in listed.items() if tags is not None and len(tags) <= _MOST_TAGS}

    def _list_homes(self, changes: Sequence[Change], manifests: dict[str, Manifest]) -> tuple[FoundBlobs, ...]:
        """Return where the state knows blobs of *changes*."""
        found: dict[Repository, dict[str, int | None]] = {}
        count = 0
        for change, digest, size_bytes in _list_blobs(changes, manifests):
            repository = change.destination.repository
            paths = self._context.state.find_blob_repositories(repository.registry, digest)
            if paths and count < _MOST_HOMES:
                path = repository.path if repository.path in paths else paths[0]
                found.setdefault(Repository(repository.registry, path), {})[digest] = size_bytes
                count += 1
        return tuple(FoundBlobs(str(one), found[one]) for one in sorted(found))


def _find_manifests(changes: Sequence[Change], context: PlanContext) -> dict[str, Manifest]:
    """Return the manifests of *changes* that planning read, by digest."""
    found: dict[str, Manifest] = {}
    held = 0
    for change in changes:
        waiting = [change.source_digest or ""]
        while waiting:
            digest = waiting.pop()
            manifest = None if digest in found else context.manifests.get(digest, change.source.repository)
            if manifest is None or not manifest.declared_type or held + manifest.size_bytes > _MANIFEST_BYTES:
                continue
            found[digest] = manifest
            held += manifest.size_bytes
            waiting.extend(child.digest for child in manifest.children)
    return found


def _list_blobs(changes: Sequence[Change], manifests: dict[str, Manifest]) -> Iterator[tuple[Change, str, int]]:
    """Yield each change with its blobs, as *manifests* say."""
    for change in changes:
        waiting = [change.source_digest or ""]
        while waiting:
            manifest = manifests.get(waiting.pop())
            if manifest is None:
                continue
            for blob in manifest.blobs:
                yield change, blob.digest, blob.size_bytes
            waiting.extend(child.digest for child in manifest.children)
