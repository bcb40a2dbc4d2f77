"""
Parse descriptors, which point to content.

Spec: image-spec 1.1 "Content Descriptors".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from imgsync.errors import UnsupportedContentError
from imgsync.oci.spec.digest import require_digest
from imgsync.oci.spec.media_types import INDEX_TYPES, normalize_media_type
from imgsync.oci.spec.platform import Platform
from imgsync.oci.spec.strict_json import check_keys
from imgsync.system.dataclass import dataclass

# As in Go, whose tools read the same manifests.
_SIZE_LIMIT = (1 << 63) - 1
_KEYS = frozenset({"mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform"})
_PLATFORM_KEYS = frozenset({"os", "architecture", "variant", "os.version", "os.features", "features"})


@dataclass(frozen=True, slots=True)
class Descriptor:
    """
    Media type, digest and size of some content.

    `is_external` content is stored at other URLs, and a registry may lack it. `attested_digest` is the image that an attestation is about.
    """

    media_type: str
    digest: str
    size_bytes: int
    platform: Platform | None = None
    is_external: bool = False
    attested_digest: str = ""

    @property
    def is_index(self) -> bool:
        """Return whether the media type is that of an index."""
        return self.media_type in INDEX_TYPES


def parse_descriptors(document: dict[str, Any], key: str) -> tuple[Descriptor, ...]:
    """
    Parse the descriptors at *key*; return none if it is absent.

    Raises:
        UnsupportedContentError: It is not a list of valid descriptors.
    """
    entries = document.get(key)
    if entries is None:
        return ()
    if not isinstance(entries, list):
        raise UnsupportedContentError(f"the manifest's {key} is not a list")
    return tuple(parse_descriptor(entry) for entry in entries)


def merge_descriptors(descriptors: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    """
    Return the first descriptor of each digest, in order.

    Content that is external in one place only is not external.

    Raises:
        UnsupportedContentError: Two descriptors of one digest give different sizes.
    """
    merged: dict[str, Descriptor] = {}
    for one in descriptors:
        known = merged.setdefault(one.digest, one)
        if known.size_bytes != one.size_bytes:
            raise UnsupportedContentError(f"the image gives the blob {one.digest} two sizes: {known.size_bytes} and {one.size_bytes} bytes")
        if known.is_external:
            merged[one.digest] = one
    return tuple(merged.values())


def parse_descriptor(entry: object) -> Descriptor:
    """
    Parse one descriptor.

    Raises:
        UnsupportedContentError: Its digest, size or keys are invalid.
    """
    if not isinstance(entry, dict):
        raise UnsupportedContentError("the manifest has a descriptor that is not an object")
    check_keys(entry, _KEYS)
    media_type = normalize_media_type(str(entry.get("mediaType", "")))
    return Descriptor(
        media_type=media_type,
        digest=require_digest(entry.get("digest")),
        size_bytes=_parse_size(entry.get("size")),
        platform=_parse_platform(entry.get("platform")),
        is_external=bool(entry.get("urls")) or "nondistributable" in media_type or ".foreign." in media_type,
        attested_digest=_parse_attested_digest(entry.get("annotations")),
    )


def _parse_size(size: object) -> int:
    # In Python True is an int, and 1e3 becomes a float. Neither is a size.
    if type(size) is not int or not 0 <= size <= _SIZE_LIMIT:
        raise UnsupportedContentError(f"the manifest has a descriptor with an invalid size: {str(size)[:40]}")
    return size


def _parse_platform(entry: object) -> Platform | None:
    if not isinstance(entry, dict):
        return None
    check_keys(entry, _PLATFORM_KEYS)
    os, architecture, variant = (entry.get(key) or "" for key in ("os", "architecture", "variant"))
    return Platform(str(os), str(architecture), str(variant)) if os or architecture else None


def _parse_attested_digest(annotations: object) -> str:
    digest = annotations.get("vnd.docker.reference.digest", "") if isinstance(annotations, dict) else ""
    return digest if isinstance(digest, str) else ""
