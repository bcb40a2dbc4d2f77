"""Which tags of one source repository are wanted, dates looked up where the listing has none (design.md §2 `tags`)."""

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
from imgsync.oci.spec.digest import compute_digest, is_digest
from imgsync.oci.spec.manifest import Descriptor, Manifest
from imgsync.oci.spec.reference import Repository
from imgsync.oci.spec.referrers import is_referrers_tag
from imgsync.plan.context import PlanContext
from imgsync.plan.list_repositories import SourceRepository
from imgsync.plan.mirror_plan import SelectedTags
from imgsync.plan.model import FilterStep

_CONFIG_LIMIT = 8 << 20
_OLDEST_BELIEVED = datetime(1980, 1, 2, tzinfo=UTC)


def select_repository_tags(mirror: Mirror, found: SourceRepository, client: RegistryClient, lister: Lister, *, context: PlanContext) -> SelectedTags:
    """
    Return the wanted tags of one repository; exact names alone need no listing.

    Tags that hold referrers are no images: they are not selected unless named, but travel with the image they belong to.

    Raises:
        RegistryError: The listing fails.
    """
    if found.listing is None and has_only_names(mirror.tags) and not (lister.has_digests_in_one_request and len(mirror.tags.names) > 1):
        return SelectedTags(
            found, tuple(ListedTag(name, digest=name if is_digest(name) else None) for name in sorted(mirror.tags.names)), certain=False, steps=()
        )
    listing = found.listing or _listed(mirror, found.repository, lister)
    context.referrers.learn_tags(found.repository, ((tag.name, tag.digest or "") for tag in listing.tags))
    known = {tag.name: tag for tag in listing.tags if not is_referrers_tag(tag.name) or tag.name in mirror.tags.names}
    dates = _Dates(listing, client, found.repository, context.manifests, limit=mirror.concurrency.queries)
    selection = select_tags(list(known), mirror.tags, created_at=dates, now=context.now)
    steps = tuple(FilterStep(str(found.repository), step.name, step.left, step.dropped) for step in selection.steps)
    return SelectedTags(found, tuple(known[name] for name in selection.tags), certain=True, steps=steps, warnings=listing.warnings)


def _listed(mirror: Mirror, repository: Repository, lister: Lister) -> TagListing:
    try:
        return lister.tags(repository.path)
    except NotFoundError as error:
        if repository.path in mirror.source.repositories:
            raise
        # Registries go on listing what has lost its last tag. It may also be hidden from us, so nothing is pruned for it.
        return TagListing((), warnings=(f"{repository} is listed, but its tags are not known; it counts as empty: {error.message}",))


class _Dates:
    """Creation times: the listing's where it has them, else the image config's."""

    def __init__(self, listing: TagListing, client: RegistryClient, repository: Repository, cache: ManifestCache, *, limit: int) -> None:
        self._listed = {tag.name: tag for tag in listing.tags}
        self._client = client
        self._repository = repository
        self._cache = cache
        self._limit = limit

    def __call__(self, tags: Sequence[str]) -> Mapping[str, datetime | None]:
        dates = {tag: self._listed[tag].created_at for tag in tags}
        unknown = [tag for tag, date in dates.items() if date is None]
        dates.update(map_unordered(self._from_config, unknown, limit=self._limit))
        return dates

    def _from_config(self, tag: str) -> tuple[str, datetime | None]:
        digest = self._listed[tag].digest
        reference = self._repository.with_digest(digest) if digest else self._repository.with_tag(tag)
        manifest = pull_manifest(self._client, reference, self._cache)
        while manifest.config is None and manifest.children:
            manifest = pull_manifest(self._client, self._repository.with_digest(manifest.children[0].digest), self._cache)
        return tag, self._created(manifest)

    def _created(self, manifest: Manifest) -> datetime | None:
        if manifest.config is None or manifest.config.size_bytes > _CONFIG_LIMIT:
            return None
        return parse_created(self._config_bytes(manifest.config))

    def _config_bytes(self, config: Descriptor) -> bytes:
        raw = self._client.read_blob(self._repository, config, limit_bytes=_CONFIG_LIMIT)
        if compute_digest(raw, like=config.digest) != config.digest:
            raise UnsupportedContentError(f"the config of {self._repository.with_digest(config.digest)} does not have that digest")
        return raw


def parse_created(config: bytes) -> datetime | None:
    """Return an image config's `created`, None when it says none that can be believed (reproducible builds say 1970)."""
    try:
        moment = datetime.fromisoformat(json.loads(config)["created"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware if aware > _OLDEST_BELIEVED else None
