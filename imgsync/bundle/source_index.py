"""Find by name what a bundle has of each source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from imgsync.bundle.model import Bundle, BundleBlob, BundleImage, BundleReferrer, Expected
from imgsync.oci.spec.reference import Repository
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class RepositoryIndex:
    """
    What a bundle has of one source repository.

    `tags` maps each tag to digest and media type; those of cosign are among them. `manifests` has every digest that may be pulled, with its media type
    if it is known. `referrers` are by subject, without those that a tag names.
    """

    tags: dict[str, tuple[str, str]] = field(default_factory=dict)
    manifests: dict[str, str] = field(default_factory=dict)
    referrers: dict[str, list[BundleReferrer]] = field(default_factory=dict)


class SourceIndex:
    """
    The images of a bundle by source name.

    Attributes:
        document: The document of the bundle.
        repositories: What it has, by registry and path.
        blobs: The blobs and manifests in its volumes, by digest.
        expects: Those that were left out, by digest.
    """

    def __init__(self, document: Bundle, *, find_name: Callable[[str], str]) -> None:
        """Call each registry as *find_name* does."""
        self.document = document
        self._find_name = find_name
        self.repositories: dict[str, dict[str, RepositoryIndex]] = {}
        self.blobs: Mapping[str, BundleBlob] = {blob.digest: blob for blob in document.blobs}
        self.expects: Mapping[str, Expected] = {one.digest: one for one in document.expects}
        # A tag that only a pin names has the pinned digest, unless another image has the tag itself.
        for image in sorted(document.images, key=lambda one: bool(one.source.digest)):
            self._add(image)

    def rename(self, repository: Repository) -> Repository:
        """Return *repository* with its registry's one name."""
        return Repository(self._find_name(repository.registry), repository.path)

    def find(self, repository: Repository) -> RepositoryIndex | None:
        """Return what the bundle has of a source repository, None for nothing."""
        return self.repositories.get(repository.registry, {}).get(repository.path)

    def find_image_name(self, image: BundleImage) -> str:
        """Return the tag or digest by which mirrors select *image*."""
        found, tag = self.find(self.rename(image.source.repository)), image.source.tag
        if not tag:
            return image.digest
        is_listed = found is not None and found.tags.get(tag, ("", ""))[0] == image.digest
        return tag if is_listed else f"{tag}@{image.digest}"

    def _add(self, image: BundleImage) -> None:
        source = self.rename(image.source.repository)
        found = self.repositories.setdefault(source.registry, {}).setdefault(source.path, RepositoryIndex())
        if image.source.tag:
            found.tags.setdefault(image.source.tag, (image.digest, image.media_type))
        found.manifests.update(dict.fromkeys((one for one in image.manifests if one not in found.manifests), ""))
        found.manifests[image.digest] = image.media_type
        for one in image.referrers:
            found.manifests.setdefault(one.digest, "")
            if one.tag:
                found.tags.setdefault(one.tag, (one.digest, ""))
            elif one not in (known := found.referrers.setdefault(one.subject, [])):
                known.append(one)
