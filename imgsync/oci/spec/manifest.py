"""
Parse manifests into frozen values.

The original bytes are kept and never encoded again, because their digest would change.

Spec: image-spec 1.1 "Image Manifest", "Image Index", "Content Descriptors".
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from imgsync.errors import UnsupportedContentError
from imgsync.oci.spec.digest import compute_digest, require_digest

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
# `*/*` also accepts schema 1. Otherwise the registry answers a plain 404, and we could not report schema 1 as the reason.
ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, "application/vnd.oci.artifact.manifest.v1+json", "*/*;q=0.1"))
MANIFEST_LIMIT = 4 << 20
_BLOB_LIMIT = 64 << 30
_CHILD_LIMIT = 1000
# Each parsed value takes about a hundred bytes. A manifest with more values than this is an attack on memory, not an image.
_VALUE_LIMIT = 100_000
_INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
_IMAGE_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
_MANIFEST_KEYS = frozenset(
    {"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "blobs", "subject", "annotations", "fsLayers"},
)
_DESCRIPTOR_KEYS = frozenset({"mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform"})
_PLATFORM_KEYS = frozenset({"os", "architecture", "variant", "os.version", "os.features", "features"})


@dataclass(frozen=True, slots=True)
class Platform:
    """The platform of an image; `variant` may be empty."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        """Return `os/architecture[/variant]`."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def matches(self, other: Platform) -> bool:
        """
        Return whether this requested platform includes *other*.

        A request without a variant includes every variant; arm64 equals arm64/v8.
        """
        if (self.os, self.architecture) != (other.os, other.architecture):
            return False
        return not self.variant or self._normalized_variant == other._normalized_variant

    @property
    def _normalized_variant(self) -> str:
        return self.variant or ("v8" if self.architecture == "arm64" else "")


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
        return self.media_type in _INDEX_TYPES


@dataclass(frozen=True, slots=True)
class Manifest:
    """
    A manifest: its exact bytes and their meaning.

    `children` are the manifests of an index. `blobs` are config and layers. `subject` is the manifest that it refers to.
    `artifact_type` falls back to the media type of the config.
    """

    raw: bytes = field(repr=False)
    media_type: str
    digest: str
    children: tuple[Descriptor, ...] = ()
    blobs: tuple[Descriptor, ...] = ()
    config: Descriptor | None = None
    subject: Descriptor | None = None
    artifact_type: str = ""

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
        return bool(self.children) or self.media_type in _INDEX_TYPES


def parse_manifest(raw: bytes, *, content_type: str = "", algorithm: str = "sha256:") -> Manifest:
    """
    Parse the manifest *raw*.

    Manifests that another parser could read differently are refused: what we check must be what a container runtime runs (CVE-2021-41190).

    Args:
        raw: The bytes as the registry sent them, at most 4 MiB.
        content_type: The `Content-Type` header of the response.
        algorithm: The algorithm of the digest, or a digest that starts with it.

    Raises:
        UnsupportedContentError: Invalid or ambiguous JSON, schema 1, too large, or an invalid descriptor.
    """
    if len(raw) > MANIFEST_LIMIT:
        raise UnsupportedContentError(f"the manifest is larger than {MANIFEST_LIMIT >> 20} MiB")
    document = _parse_strict_json(raw)
    served_as = content_type.partition(";")[0].strip().lower()
    media_type = _read_media_type(document, served_as)
    _check_kind(document, media_type, served_as)
    config = _read_optional(document, "config")
    layers = _read_list(document, "layers") + _read_list(document, "blobs")
    children = _read_list(document, "manifests")
    if len(children) > _CHILD_LIMIT:
        raise UnsupportedContentError(f"the index lists {len(children)} manifests; the limit is {_CHILD_LIMIT}")
    if config is None and document.keys().isdisjoint({"layers", "blobs", "manifests"}):
        raise UnsupportedContentError("the document is not an image manifest or an index")
    artifact_type = document.get("artifactType") or (config.media_type if config is not None else "")
    return Manifest(
        raw=raw,
        media_type=media_type or (OCI_INDEX if "manifests" in document else OCI_MANIFEST),
        digest=compute_digest(raw, like=algorithm),
        children=children,
        blobs=_drop_duplicates((config, *layers) if config else layers),
        config=config,
        subject=_read_optional(document, "subject"),
        artifact_type=artifact_type if isinstance(artifact_type, str) else "",
    )


def select_platforms(index: Manifest, platforms: Sequence[Platform]) -> Manifest:
    """
    Return an index with only the children of *platforms*.

    This is *index* itself if all children stay. Children keep their bytes and order. An attestation stays if its image does, and entries
    without a platform stay. The same input gives the same bytes, and so the same digest.

    Raises:
        UnsupportedContentError: No child has one of *platforms*.
    """
    kept = {child.digest for child in index.children if child.platform and any(platform.matches(child.platform) for platform in platforms)}
    if not kept:
        offered = ", ".join(sorted({str(child.platform) for child in index.children if child.platform and not child.attested_digest})) or "none"
        raise UnsupportedContentError(f"the image has none of the requested platforms; it has {offered}")
    stays = [child.digest in kept or child.attested_digest in kept or child.platform is None for child in index.children]
    if all(stays):
        return index
    document = _parse_strict_json(index.raw)
    document["manifests"] = [entry for entry, stay in zip(document["manifests"], stays, strict=True) if stay]
    return parse_manifest(dump_json(document), content_type=index.media_type, algorithm=index.digest)


def dump_json(document: object) -> bytes:
    """
    Return *document* as compact JSON, always the same bytes.

    Half of a surrogate pair stays an escape, since UTF-8 cannot encode it.
    """
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace")


def parse_platform(text: str) -> Platform:
    """
    Parse `os/architecture[/variant]`.

    Raises:
        ValueError: *text* has another form.
    """
    parts = text.split("/")
    if len(parts) not in {2, 3} or not all(parts):
        raise ValueError(f"{text!r} is not a platform; write OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT")
    return Platform(*parts)


def _drop_duplicates(descriptors: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    return tuple({descriptor.digest: descriptor for descriptor in descriptors}.values())


def _read_media_type(document: dict[str, Any], served_as: str) -> str:
    media_type = document.get("mediaType") or served_as
    # It becomes a header when the manifest is pushed.
    if not isinstance(media_type, str) or not (media_type.isascii() and media_type.isprintable()):
        raise UnsupportedContentError("the manifest's mediaType is not text")
    return media_type


def _check_kind(document: dict[str, Any], media_type: str, served_as: str) -> None:
    """Refuse schema 1, and documents whose kind is ambiguous."""
    if document.get("schemaVersion") == 1 or "fsLayers" in document or media_type.startswith(_SCHEMA_1):
        raise UnsupportedContentError(
            "the image is in Docker schema 1 format", hint="ask its publisher to push it in a current format; registries no longer accept schema 1"
        )
    is_index = "manifests" in document
    if is_index and not document.keys().isdisjoint({"layers", "config", "blobs"}):
        raise UnsupportedContentError("the manifest is both an index and an image")
    for name in (media_type, served_as):
        if name in (_IMAGE_TYPES if is_index else _INDEX_TYPES):
            raise UnsupportedContentError(f"the manifest has the type {name}, but it is {'an index' if is_index else 'not an index'}")


def _read_optional(document: dict[str, Any], key: str) -> Descriptor | None:
    entry = document.get(key)
    return None if entry is None else _read_descriptor(entry)


def _read_list(document: dict[str, Any], key: str) -> tuple[Descriptor, ...]:
    entries = document.get(key)
    if entries is None:
        return ()
    if not isinstance(entries, list):
        raise UnsupportedContentError(f"the manifest's {key} is not a list")
    return tuple(_read_descriptor(entry) for entry in entries)


def _read_descriptor(entry: object) -> Descriptor:
    if not isinstance(entry, dict):
        raise UnsupportedContentError("the manifest has a descriptor that is not an object")
    _check_keys(entry, _DESCRIPTOR_KEYS)
    size = entry.get("size")
    # In Python True is an int, and 1e3 becomes a float. Neither is a size.
    if type(size) is not int or not 0 <= size <= _BLOB_LIMIT:
        raise UnsupportedContentError(f"the manifest has a descriptor with an invalid size: {str(size)[:40]}")
    annotations = entry.get("annotations")
    attested = annotations.get("vnd.docker.reference.digest", "") if isinstance(annotations, dict) else ""
    return Descriptor(
        media_type=str(entry.get("mediaType", "")),
        digest=require_digest(entry.get("digest")),
        size_bytes=size,
        platform=_read_platform(entry.get("platform")),
        is_external=bool(entry.get("urls")) or "nondistributable" in str(entry.get("mediaType")) or ".foreign." in str(entry.get("mediaType")),
        attested_digest=attested if isinstance(attested, str) else "",
    )


def _read_platform(entry: object) -> Platform | None:
    if not isinstance(entry, dict):
        return None
    _check_keys(entry, _PLATFORM_KEYS)
    os, architecture, variant = (entry.get(key) or "" for key in ("os", "architecture", "variant"))
    return Platform(str(os), str(architecture), str(variant)) if os or architecture else None


def _parse_strict_json(raw: bytes) -> dict[str, Any]:
    """Parse JSON only if all parsers read it alike."""
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > _VALUE_LIMIT:
        raise UnsupportedContentError(f"the manifest has more than {_VALUE_LIMIT:,} values")
    try:
        document = json.loads(raw.decode("utf-8"), object_pairs_hook=_build_object, parse_constant=_refuse_constant, parse_float=_parse_float)
    except (ValueError, RecursionError) as error:
        raise UnsupportedContentError("the manifest is not valid JSON") from error
    if not isinstance(document, dict):
        raise UnsupportedContentError("the manifest is not a JSON object")
    _check_keys(document, _MANIFEST_KEYS)
    return document


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        raise UnsupportedContentError("the manifest has ambiguous keys: one occurs twice")
    return built


def _check_keys(entry: dict[str, Any], known: frozenset[str]) -> None:
    """Refuse keys that differ from *known* ones only by case."""
    # Go's JSON parser ignores the case of keys (golang/go#14750), ours does not.
    if entry.keys() <= known:
        return
    folded = {key.casefold(): key for key in known}
    for key in entry:
        if folded.get(key.casefold(), key) != key:
            raise UnsupportedContentError(f"the manifest has ambiguous keys: {key[:40]!a} for {folded[key.casefold()]!r}")


def _refuse_constant(constant: str) -> None:
    raise UnsupportedContentError(f"the manifest contains {constant}")


def _parse_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _refuse_constant(text[:40])
    return number
