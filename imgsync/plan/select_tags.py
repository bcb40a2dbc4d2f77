"""
Select tags of one source repository.

Dates that a listing lacks are read from image configs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Mirror
from imgsync.errors import NotFoundError, UnsupportedContentError
from imgsync.filters.tags import has_only_names, select_tags
from imgsync.images.image import ManifestCache, pull_manifest
from imgsync.oci.listing.lister import Lister
from imgsync.oci.listing.model import ListedTag, TagListing
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import compute_digest, is_digest
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.reference import Repository
from imgsync.oci.spec.referrers import is_referrers_tag
from imgsync.plan.context import PlanContext
from imgsync.plan.list_repositories import SourceRepository
from imgsync.plan.mirror_plan import SelectedTags
from imgsync.plan.model import FilterStep

_CONFIG_LIMIT = 8 << 20
_OLDEST_DATE = datetime(1980, 1, 2, tzinfo=UTC)


def select_repository_tags(mirror: Mirror, found: SourceRepository, client: RegistryClient, lister: Lister, *, context: PlanContext) -> SelectedTags:
    """
    Return the selected tags of one repository.

    Exact names need no listing. Tags that hold referrers are copied with their image; they are selected only by exact name.

    Raises:
        RegistryError: The listing fails.
    """
    if found.listing is None and has_only_names(mirror.tags) and not (lister.has_digests_in_one_request and len(mirror.tags.names) > 1):
        return SelectedTags(
            found, tuple(ListedTag(name, digest=name if is_digest(name) else None) for name in sorted(mirror.tags.names)), certain=False, steps=()
        )
    listing = found.listing or _list_tags(mirror, found.repository, lister)
    context.referrers.learn_tags(found.repository, ((tag.name, tag.digest or "") for tag in listing.tags))
    known = {tag.name: tag for tag in listing.tags if not is_referrers_tag(tag.name) or tag.name in mirror.tags.names}
    dates = _Dates(listing, client, found.repository, context.manifests, limit=mirror.concurrency.queries)
    selection = select_tags(list(known), mirror.tags, created_at=dates, now=context.now)
    steps = tuple(FilterStep(str(found.repository), step.name, step.left, step.dropped) for step in selection.steps)
    return SelectedTags(found, tuple(known[name] for name in selection.tags), certain=True, steps=steps, warnings=listing.warnings)


def _list_tags(mirror: Mirror, repository: Repository, lister: Lister) -> TagListing:
    try:
        return lister.tags(repository.path)
    except NotFoundError as error:
        if repository.path in mirror.source.repositories:
            raise
        # Registries still list repositories without tags. It may also be hidden from us, so nothing of it is pruned.
        return TagListing((), warnings=(f"{repository} is listed, but its tags are unknown; treated as empty: {error.message}",))


class _Dates:
    """Creation times from the listing, else from the image config."""

    def __init__(self, listing: TagListing, client: RegistryClient, repository: Repository, cache: ManifestCache, *, limit: int) -> None:
        self._listed = {tag.name: tag for tag in listing.tags}
        self._client = client
        self._repository = repository
        self._cache = cache
        self._limit = limit

    def __call__(self, tags: Sequence[str]) -> Mapping[str, datetime | None]:
        dates = {tag: self._listed[tag].created_at for tag in tags}
        unknown = [tag for tag, date in dates.items() if date is None]
        dates.update(map_unordered(self._read_date, unknown, limit=self._limit))
        return dates

    def _read_date(self, tag: str) -> tuple[str, datetime | None]:
        digest = self._listed[tag].digest
        reference = self._repository.with_digest(digest) if digest else self._repository.with_tag(tag)
        manifest = pull_manifest(self._client, reference, self._cache)
        while manifest.config is None and manifest.children:
            manifest = pull_manifest(self._client, self._repository.with_digest(manifest.children[0].digest), self._cache)
        return tag, self._read_created(manifest)

    def _read_created(self, manifest: Manifest) -> datetime | None:
        if manifest.config is None or manifest.config.size_bytes > _CONFIG_LIMIT:
            return None
        return parse_created(self._read_config(manifest.config))

    def _read_config(self, config: Descriptor) -> bytes:
        raw = self._client.read_blob(self._repository, config, limit_bytes=_CONFIG_LIMIT)
        if compute_digest(raw, like=config.digest) != config.digest:
            raise UnsupportedContentError(f"the config {self._repository.with_digest(config.digest)} does not match its digest")
        return raw


def parse_created(config: bytes) -> datetime | None:
    """Return `created` of an image config, if plausible."""
    try:
        moment = datetime.fromisoformat(json.loads(config)["created"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    # Reproducible builds set 1970 or 1980.
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware if aware > _OLDEST_DATE else None
