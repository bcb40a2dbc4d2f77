"""
Find when tags were created, by listing, config or annotation.

A tag that cannot be read costs itself alone. An error that may concern all tags is raised: without their dates the choice would be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property

from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Mirror
from imgsync.errors import ContentMismatchError, ImgsyncError, NotFoundError, RejectedError, UnexpectedResponseError, UnreachableError, UnsupportedContentError
from imgsync.images.image import ManifestCache, pull_manifest
from imgsync.listing.json_fields import parse_timestamp
from imgsync.listing.model import ListedTag, TagListing
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import compute_digest
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.media_types import IMAGE_CONFIG_TYPES
from imgsync.oci.spec.platform import parse_platform
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.oci.spec.strict_json import parse_object

_CONFIG_LIMIT = 8 << 20
_DEPTH_LIMIT = 4
_ANNOTATION = "org.opencontainers.image.created"
_OF_ONE_TAG = (NotFoundError, RejectedError, UnexpectedResponseError, ContentMismatchError, UnsupportedContentError)
_INTERNAL_ERROR = 500


class TagDates:
    """
    Creation times of one repository's tags.

    Attributes:
        errors: The tags that could not be read, and why. They have no entry among the dates.
        known: The dates that were returned so far.
    """

    def __init__(self, mirror: Mirror, repository: Repository, listing: TagListing, *, client: ImageStore, cache: ManifestCache) -> None:
        """Read what *listing* lacks by *client*."""
        self._listing = listing
        self._client = client
        self._repository = repository
        self._cache = cache
        self._limit = mirror.concurrency.queries
        self._platforms = [parse_platform(text) for text in mirror.platforms or ()]
        self.errors: dict[str, ImgsyncError] = {}
        self.known: dict[str, datetime | None] = {}

    def __call__(self, tags: Sequence[str]) -> Mapping[str, datetime | None]:
        """
        Return the date of each of *tags*, None for none.

        Tags that cannot be read are left out.

        Raises:
            ImgsyncError: A registry fails, or a limit is reached.
        """
        dates = {tag: self._listed[tag].created_at for tag in tags}
        unknown = [tag for tag, date in dates.items() if date is None]
        dates.update(map_unordered(self._read_date, unknown, limit=self._limit))
        found = {tag: date for tag, date in dates.items() if tag not in self.errors}
        self.known.update(found)
        return found

    @cached_property
    def _listed(self) -> Mapping[str, ListedTag]:
        # Made when needed: few mirrors choose by date.
        return {tag.name: tag for tag in self._listing.tags}

    def _read_date(self, tag: str) -> tuple[str, datetime | None]:
        digest = self._listed[tag].digest
        try:
            return tag, self._read_created(self._repository.with_digest(digest) if digest else self._repository.with_tag(tag))
        except ImgsyncError as error:
            if not _is_of_one_tag(error):
                raise
            self.errors[tag] = error
            return tag, None

    def _read_created(self, reference: Reference) -> datetime | None:
        path = [pull_manifest(self._client, reference, self._cache)]
        while path[-1].config is None and path[-1].children and len(path) <= _DEPTH_LIMIT:
            path.append(pull_manifest(self._client, self._repository.with_digest(self._choose_child(path[-1]).digest), self._cache))
        config = path[-1].config
        # Only configs of images have a date; those of artifacts may be anything.
        created = None if config is None or config.media_type not in IMAGE_CONFIG_TYPES else parse_created(self._read_config(config))
        # Helm and ORAS write only the annotation.
        return created or next((date for manifest in reversed(path) if (date := parse_created_annotation(manifest)) is not None), None)

    def _choose_child(self, index: Manifest) -> Descriptor:
        """Return the first child that would be copied, else the first."""
        images = [child for child in index.children if not child.attested_digest]
        declared = [child for child in images if child.platform is not None and any(one.matches(child.platform) for one in self._platforms)]
        return (declared or images or index.children)[0]

    def _read_config(self, config: Descriptor) -> bytes:
        what = f"the config {self._repository.with_digest(config.digest)}"
        if config.size_bytes > _CONFIG_LIMIT:
            raise UnsupportedContentError(f"{what} is larger than {_CONFIG_LIMIT >> 20} MiB")
        raw = self._client.read_blob(self._repository, config, limit_bytes=_CONFIG_LIMIT)
        if compute_digest(raw, like=config.digest) != config.digest:
            raise UnsupportedContentError(f"{what} does not match its digest")
        return raw


def parse_created(config: bytes) -> datetime | None:
    """
    Return `created` of an image config, if plausible.

    Raises:
        UnsupportedContentError: The config is not a JSON object, or has too many values.
    """
    return parse_timestamp(parse_object(config, what="config").get("created"))


def parse_created_annotation(manifest: Manifest) -> datetime | None:
    """Return the annotation `org.opencontainers.image.created`, if plausible."""
    annotations = parse_object(manifest.raw, what="manifest").get("annotations")
    return parse_timestamp(annotations.get(_ANNOTATION)) if isinstance(annotations, dict) else None


def _is_of_one_tag(error: ImgsyncError) -> bool:
    """Return whether *error* is about one tag, not the registry."""
    # Registries answer 500 for what their storage lost.
    return isinstance(error, _OF_ONE_TAG) or (isinstance(error, UnreachableError) and error.status == _INTERNAL_ERROR)
