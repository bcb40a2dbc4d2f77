"""
Read tags at the source: first the digest, then the content.

Each step is optional, since a digest from a listing or a record makes it unnecessary.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace

from imgsync.config.model import Mirror
from imgsync.errors import ImgsyncError, LimitReachedError, NotFoundError
from imgsync.images.image import Image, pull_manifest, read_image, select_root
from imgsync.images.left_out import describe_left_out
from imgsync.images.referrer_errors import is_final
from imgsync.images.referrers import Referrers
from imgsync.listing.model import ListedTag
from imgsync.oci.image_store import Resolved
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.media_types import read_manifest_type
from imgsync.oci.spec.platform import parse_platform
from imgsync.oci.spec.reference import Reference, Repository, is_pin
from imgsync.oci.spec.select_platforms import SelectedPlatforms
from imgsync.plan.context import PlanContext
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class SourceTag:
    """
    A tag at the source, as listed and as resolved.

    `warnings` collects what is skipped while reading it.
    """

    reference: Reference
    listed: ListedTag
    resolved: Resolved
    is_immutable: bool
    warnings: dict[str, None] = field(default_factory=dict, compare=False)

    @property
    def repository(self) -> Repository:
        """Return the source repository."""
        return self.reference.repository

    @property
    def digest(self) -> str:
        """Return the digest that the tag names."""
        return self.resolved.digest

    def move_to(self, manifest: Manifest) -> SourceTag:
        """Return the same tag, naming *manifest*."""
        return replace(self, listed=replace(self.listed, digest=manifest.digest), resolved=Resolved(manifest.digest, manifest.media_type))


@dataclass(frozen=True, slots=True)
class TagContent:
    """
    What would be pushed: an image and its referrers.

    `left_out` describes what is not, `absent` are the digests of its blobs.
    """

    image: Image
    referrers: Referrers
    left_out: tuple[str, ...] = ()
    absent: frozenset[str] = frozenset()

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Return every blob to copy, each once."""
        return tuple({blob.digest: blob for part in self._images for blob in part.blobs if blob.digest not in self.absent}.values())

    @property
    def manifests(self) -> tuple[str, ...]:
        """Return the digest of every manifest."""
        return tuple(manifest.digest for part in self._images for manifest in (part.root, *part.below))

    @property
    def _images(self) -> tuple[Image, ...]:
        return (self.image, *(one.image for one in self.referrers.found))


class TagMoved(Exception):  # noqa: N818 - not an error: another manifest is planned
    """The tag names *manifest*, not the digest that HEAD returned."""

    def __init__(self, manifest: Manifest) -> None:
        """Report *manifest*."""
        super().__init__(manifest.digest)
        self.manifest = manifest


class SourceTags:
    """Reads the tags of one mirror's source."""

    def __init__(self, mirror: Mirror, context: PlanContext) -> None:
        """Share manifests and referrers through *context*."""
        self._mirror = mirror
        self._manifests = context.manifests
        self._referrers = context.referrers
        self._external_layers = context.external_layers
        self._is_frozen = context.is_frozen
        self._platforms = None if mirror.platforms is None else [parse_platform(text) for text in mirror.platforms]
        self.client = context.registries.make_source_client(mirror, check=context.stop.raise_if_requested)

    @property
    def is_far_and_unmetered(self) -> bool:
        """Return whether requests are slow, but pulls are not counted."""
        return self.client.capabilities.is_far and self.client.pull_quota is None

    def resolve(self, reference: Reference, listed: ListedTag, *, pull: bool) -> Resolved | None:
        """
        Return what *reference* names, None if it does not exist.

        Args:
            reference: The tag, or a digest.
            listed: Its row in the listing; a digest there makes a request unnecessary.
            pull: Pull the manifest at once, because the plan will need it. Only this shows whether a pinned digest exists.
        """
        if listed.digest is not None and not (pull and is_pin(listed.name)):
            return Resolved(listed.digest, read_manifest_type(listed.media_type or "") or None)
        return self._pull(reference) if pull else self._resolve(reference)

    def read_root(self, tag: SourceTag) -> SelectedPlatforms:
        """
        Return the root that would be pushed for *tag*.

        Raises:
            TagMoved: The tag names another manifest.
        """
        # HEAD may return another digest than GET (distribution-spec#207), so a digest known only from HEAD is read by tag.
        by_tag = tag.listed.digest is None and self._manifests.get(tag.digest, tag.repository) is None
        root = pull_manifest(self.client, tag.reference if by_tag else tag.repository.with_digest(tag.digest), self._manifests)
        if not root.matches(tag.digest):
            raise TagMoved(root)
        # HEAD may name a digest of another algorithm than GET.
        named = root if root.digest == tag.digest else replace(root, digest=tag.digest)
        return select_root(self.client, tag.repository, named, self._platforms, cache=self._manifests)

    def read_content(self, tag: SourceTag) -> TagContent:
        """
        Return the image of *tag* with its referrers.

        Raises:
            TagMoved: The tag names another manifest.
        """
        selected = self.read_root(tag)
        image = read_image(self.client, tag.repository, selected, cache=self._manifests, limit=self._mirror.concurrency.blobs)
        # A new index has no referrers: its digest exists only at the destination.
        subject = image.root.digest if image.root.digest == tag.digest else ""
        referrers = self._try_referrers(tag, subject, image.below)
        blobs = {blob.digest: blob for part in (image, *(one.image for one in referrers.found)) for blob in part.blobs}
        absent = self._external_layers.list_absent(self.client, tag.repository, blobs.values(), limit=self._mirror.concurrency.blobs)
        return TagContent(image, referrers, describe_left_out(selected.missing, absent), frozenset(blob.digest for blob in absent))

    def _try_referrers(self, tag: SourceTag, digest: str, below: Iterable[Manifest]) -> Referrers:
        """Return the referrers that can be read, with a warning for others."""
        try:
            found = self._read_referrers(tag, digest, below)
        except ImgsyncError as error:
            if not is_final(error):
                raise
            found = Referrers(error=error)
        if found.error is not None:
            # Copying tries again, and reports the failure.
            tag.warnings[f"not all referrers of {tag.reference} can be read: {found.error.message}"] = None
        return found

    def read_referrers(self, tag: SourceTag, digest: str, below: Iterable[Manifest] = ()) -> Referrers:
        """
        Return the referrers of *digest* and of manifests *below* it.

        Raises:
            ImgsyncError: One cannot be read.
        """
        found = self._read_referrers(tag, digest, below)
        if found.error is not None:
            raise found.error
        return found

    def _read_referrers(self, tag: SourceTag, digest: str, below: Iterable[Manifest]) -> Referrers:
        found = self._referrers.read(
            self.client,
            tag.repository,
            digest,
            parts=(part.digest for part in below),
            types=self._mirror.referrers,
            limit=self._mirror.concurrency.blobs,
            noted_as=tag.digest,
        )
        tag.warnings.update(dict.fromkeys(found.warnings))
        return found

    def read_all_referrers(self, tag: SourceTag) -> Referrers:
        """
        Return the referrers of *tag* and of its platforms.

        Raises:
            TagMoved: The tag names another manifest.
        """
        image = read_image(self.client, tag.repository, self.read_root(tag), cache=self._manifests, limit=self._mirror.concurrency.blobs)
        return self.read_referrers(tag, image.root.digest if image.root.digest == tag.digest else "", image.below)

    def has_moved_referrers(self, tag: SourceTag, subject: str, note: str) -> bool:
        """Return whether the referrer tags differ from *note*, as `ReferrerReader.has_moved`."""
        if self._is_frozen:
            return False
        return self._mirror.referrers is not False and self._referrers.has_moved(self.client, tag.repository, subject, note)

    def _resolve(self, reference: Reference) -> Resolved | None:
        found = self.client.resolve(reference)
        if found is not None and found.manifest is not None:
            self._manifests.add(found.manifest, reference.repository)
        return found

    def _pull(self, reference: Reference) -> Resolved | None:
        try:
            # Not from the cache: another repository may have served the digest of a pin.
            manifest = self.client.pull_manifest(reference)
        except NotFoundError:
            return None
        except LimitReachedError:
            # HEAD does not count as a pull.
            return self.client.resolve(reference)
        self._manifests.add(manifest, reference.repository)
        return Resolved(manifest.digest, manifest.media_type)
