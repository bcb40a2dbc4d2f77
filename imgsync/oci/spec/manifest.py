"""
Parse manifests into frozen values.

The original bytes are kept and never encoded again, because their digest would change.

Spec: image-spec 1.1 "Image Manifest", "Image Index".
"""

from __future__ import annotations

import zlib
from dataclasses import field
from typing import Any

from imgsync.errors import UnsupportedContentError
from imgsync.oci.spec.descriptor import Descriptor, merge_descriptors, parse_descriptor, parse_descriptors
from imgsync.oci.spec.digest import compute_digest, has_same_algorithm
from imgsync.oci.spec.media_types import (
    DOCKER_SCHEMA_1_PREFIX,
    IMAGE_TYPES,
    INDEX_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    normalize_media_type,
    read_manifest_type,
)
from imgsync.oci.spec.strict_json import check_keys, parse_object
from imgsync.system.dataclass import dataclass

MANIFEST_LIMIT = 4 << 20
_CHILD_LIMIT = 1000
_KEYS = frozenset(
    {"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "blobs", "subject", "annotations", "fsLayers"},
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """
    A manifest: its exact bytes and their meaning.

    `children` are the manifests of an index. `blobs` are config and layers. `subject` is the manifest that it refers to.
    `artifact_type` falls back to the media type of the config. `declared_type` is the `mediaType` in the document, as written there.
    """

    raw: bytes = field(repr=False)
    media_type: str
    digest: str
    children: tuple[Descriptor, ...] = ()
    blobs: tuple[Descriptor, ...] = ()
    config: Descriptor | None = None
    subject: Descriptor | None = None
    artifact_type: str = ""
    declared_type: str = ""

    @property
    def content_type(self) -> str:
        """Return the `Content-Type` to push: exactly what the document declares."""
        return self.declared_type or self.media_type

    @property
    def size_bytes(self) -> int:
        """Return the length of the manifest in bytes."""
        return len(self.raw)

    @property
    def crc32(self) -> str:
        """
        Return the CRC-32 of the bytes in eight hex digits.

        It can prove that two manifests differ, but not that they are equal.
        """
        return f"{zlib.crc32(self.raw):08x}"

    @property
    def is_index(self) -> bool:
        """Return whether this is an index of other manifests."""
        return bool(self.children) or self.media_type in INDEX_TYPES

    def matches(self, digest: str) -> bool:
        """Return whether *digest*, of any algorithm, is that of the bytes."""
        return digest == (self.digest if has_same_algorithm(digest, self.digest) else compute_digest(self.raw, like=digest))


def parse_manifest(raw: bytes, *, content_type: str = "", algorithm: str = "sha256:") -> Manifest:
    """
    Parse the manifest *raw*.

    Manifests that another parser could read differently are refused: what we check must be what a container runtime runs (CVE-2021-41190).

    Args:
        raw: The bytes as the registry sent them, at most 4 MiB.
        content_type: The `Content-Type` header of the response.
        algorithm: The algorithm of the digest, or a digest that starts with it.

    Raises:
        UnsupportedContentError: Invalid or ambiguous JSON, schema 1, too large, or an invalid or contradictory descriptor.
    """
    if len(raw) > MANIFEST_LIMIT:
        raise UnsupportedContentError(f"the manifest is larger than {MANIFEST_LIMIT >> 20} MiB")
    document = parse_object(raw)
    check_keys(document, _KEYS)
    served_as, declared = read_manifest_type(content_type), _read_declared_type(document)
    media_type = normalize_media_type(declared) or served_as
    _check_kind(document, media_type, served_as)
    config = _parse_optional(document, "config")
    layers = parse_descriptors(document, "layers") + parse_descriptors(document, "blobs")
    children = parse_descriptors(document, "manifests")
    if len(children) > _CHILD_LIMIT:
        raise UnsupportedContentError(f"the index lists {len(children)} manifests; the limit is {_CHILD_LIMIT}")
    if config is None and document.keys().isdisjoint({"layers", "blobs", "manifests"}):
        raise UnsupportedContentError("the document is not an image manifest or an index")
    _check_schema_version(document)
    artifact_type = document.get("artifactType") or (config.media_type if config is not None else "")
    return Manifest(
        raw=raw,
        media_type=media_type or (OCI_INDEX if "manifests" in document else OCI_MANIFEST),
        digest=compute_digest(raw, like=algorithm),
        children=children,
        blobs=merge_descriptors((config, *layers) if config else layers),
        config=config,
        subject=_parse_optional(document, "subject"),
        artifact_type=normalize_media_type(artifact_type) if isinstance(artifact_type, str) else "",
        declared_type=declared,
    )


def _read_declared_type(document: dict[str, Any]) -> str:
    media_type = document.get("mediaType") or ""
    # It becomes a header when the manifest is pushed.
    if not isinstance(media_type, str) or not (media_type.isascii() and media_type.isprintable()):
        raise UnsupportedContentError("the manifest's mediaType is not text")
    return media_type


def _check_kind(document: dict[str, Any], media_type: str, served_as: str) -> None:
    """Refuse schema 1, and documents whose kind is ambiguous."""
    if document.get("schemaVersion") == 1 or "fsLayers" in document or media_type.startswith(DOCKER_SCHEMA_1_PREFIX):
        raise UnsupportedContentError(
            "the image is in Docker schema 1 format", hint="ask its publisher to push it in a current format; registries no longer accept schema 1"
        )
    is_index = "manifests" in document
    if is_index and not document.keys().isdisjoint({"layers", "config", "blobs"}):
        raise UnsupportedContentError("the manifest is both an index and an image")
    for name in (media_type, served_as):
        if name in (IMAGE_TYPES if is_index else INDEX_TYPES):
            raise UnsupportedContentError(f"the manifest has the type {name}, but it is {'an index' if is_index else 'not an index'}")


def _check_schema_version(document: dict[str, Any]) -> None:
    version = document.get("schemaVersion")
    # Artifact manifests, which the OCI dropped before 1.1, have none. Registries answer an unclear 400 or 500 to any other version.
    if version != 2 and not (version is None and "blobs" in document):
        found = f"schemaVersion {str(version)[:40]!a}" if version is not None else "no schemaVersion"
        raise UnsupportedContentError(f"the manifest has {found}, not 2", hint="registries refuse it; ask its publisher to push the image again")


def _parse_optional(document: dict[str, Any], key: str) -> Descriptor | None:
    entry = document.get(key)
    return None if entry is None else parse_descriptor(entry)
