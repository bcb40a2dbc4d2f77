"""
What a bundle holds, as frozen values.

A bundle whose placement is known and whose content is not has no id, and its parts have no digests: a draft.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from imgsync.oci.spec.reference import Reference, Repository
from imgsync.system.dataclass import dataclass

FORMAT = "imgsync.bundle/v1"
VOLUME_FORMAT = "imgsync.bundle-volume/v1"
DOCUMENT_NAME = "imgsync-bundle.json"
DEFAULT_NAME = "imgsync-bundle"
MAX_VOLUMES = 9999
_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class BundleReferrer:
    """
    A referrer of an image, such as a signature.

    `tag` is its tag if cosign's tag schema names it, else "".
    """

    subject: str
    digest: str
    artifact_type: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True)
class BundleImage:
    """
    One image with the names that it had and shall have.

    `source` and `destination` have a tag, a digest or both. `manifests` are the digests of its manifests, the root last; referrers are not
    among them. `mirror` names the mirror that selected it.
    """

    source: Reference
    destination: Reference
    digest: str
    media_type: str
    mirror: str = ""
    manifests: tuple[str, ...] = ()
    referrers: tuple[BundleReferrer, ...] = ()


@dataclass(frozen=True, slots=True)
class BundlePart:
    """
    A part of a blob that is larger than a volume.

    `volume` counts from 1. `digest` is that of the part alone, "" in a draft.
    """

    volume: int
    size_bytes: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class BundleBlob:
    """
    A blob or a manifest of the bundle, whole or in parts.

    `volume` counts from 1; it is 0 if the blob is cut into `parts`, which are in order.
    """

    digest: str
    size_bytes: int
    volume: int = 0
    parts: tuple[BundlePart, ...] = ()

    @property
    def volumes(self) -> tuple[int, ...]:
        """Return the numbers of the volumes that hold it."""
        return (self.volume,) if self.volume else tuple(part.volume for part in self.parts)


@dataclass(frozen=True, slots=True)
class Expected:
    """
    A blob that was left out, because the other side has it.

    `repositories` are paths at the destination registry that hold it. `held_by` is the id of the bundle or inventory that said so. If the bundle is for
    several registries, `places` are the repositories with their registries.
    """

    digest: str
    size_bytes: int
    repositories: tuple[str, ...] = ()
    held_by: str = ""
    places: tuple[Repository, ...] = ()


@dataclass(frozen=True, slots=True)
class BundleVolume:
    """The file name of a volume and its exact size."""

    file: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """
    The document of a bundle.

    `blobs` are in the order in which they lie in the volumes. `volumes` are in the order of their numbers. `parent` is the id of the bundle
    that this one continues. `inventory` is the id of the inventory used. `id` is "" in a draft.
    """

    images: tuple[BundleImage, ...]
    blobs: tuple[BundleBlob, ...]
    volumes: tuple[BundleVolume, ...]
    expects: tuple[Expected, ...] = ()
    parent: str = ""
    inventory: str = ""
    id: str = ""

    @property
    def size_bytes(self) -> int:
        """Return the size of all volumes."""
        return sum(volume.size_bytes for volume in self.volumes)

    def blobs_of_volume(self, number: int) -> Iterator[BundleBlob]:
        """Yield each blob that lies in volume *number*, whole or in part."""
        return (blob for blob in self.blobs if number in blob.volumes)


def is_volume_name(name: str) -> bool:
    """Return whether *name* can begin the names of volumes."""
    return _VOLUME_NAME.fullmatch(name) is not None


def name_volume(name: str, number: int) -> str:
    """Return the file name of volume *number*."""
    return f"{name}.{number:03}.tar"
