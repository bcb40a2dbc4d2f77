"""
Manifests: bytes in, an immutable view out. The bytes are the manifest; nothing re-encodes what has a digest.

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
# Schema 1 is asked for so that it can be recognised and refused by name; without it the answer would be a bare 404.
ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, "application/vnd.oci.artifact.manifest.v1+json", "*/*;q=0.1"))
MANIFEST_LIMIT = 4 << 20
_BLOB_LIMIT = 64 << 30
_CHILD_LIMIT = 1000
# More than this is no image but a bomb: each value costs some hundred bytes once it is read.
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
    """What a manifest runs on; `variant` is empty when none is said."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        """Return `os/architecture[/variant]`."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def matches(self, other: Platform) -> bool:
        """Return whether *other* is what this asks for; no variant asks for any, and arm64 is arm64/v8."""
        if (self.os, self.architecture) != (other.os, other.architecture):
            return False
        return not self.variant or self._variant() == other._variant()

    def _variant(self) -> str:
        return self.variant or ("v8" if self.architecture == "arm64" else "")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Media type, digest and size in bytes of some content; `is_external` when it is named by `urls` and may be absent."""

    media_type: str
    digest: str
    size_bytes: int
    platform: Platform | None = None
    is_external: bool = False
    attested_digest: str = ""

    @property
    def is_index(self) -> bool:
        """Return whether it is said to be an index, or Docker's list."""
        return self.media_type in _INDEX_TYPES


@dataclass(frozen=True, slots=True)
class Manifest:
    """
    One manifest: its exact bytes, and what they say. `children` are manifests, `blobs` config and layers.

    `subject` is the manifest it refers to, `artifact_type` what it is by its own word, else by its config's type.
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
        """Return the length of the manifest itself, in bytes."""
        return len(self.raw)

    @property
    def crc32(self) -> str:
        """Return eight hex digits of `zlib.crc32` over the bytes: it can prove that two manifests differ, never that they agree."""
        return f"{zlib.crc32(self.raw):08x}"

    @property
    def is_index(self) -> bool:
        """Return whether it names other manifests."""
        return bool(self.children) or self.media_type in _INDEX_TYPES


def parse_manifest(raw: bytes, *, content_type: str = "", algorithm: str = "sha256:") -> Manifest:
    """
    Return the view of *raw*; its digest is computed by the algorithm that *algorithm* begins with.

    What readers could take differently is refused, so that what was checked here is what runs there (CVE-2021-41190).

    Raises:
        UnsupportedContentError: No JSON, ambiguous JSON, schema 1, over 4 MiB, or descriptors that cannot be trusted.
    """
    if len(raw) > MANIFEST_LIMIT:
        raise UnsupportedContentError(f"the manifest is larger than {MANIFEST_LIMIT >> 20} MiB")
    document = _strict_json(raw)
    served_as = content_type.partition(";")[0].strip().lower()
    declared = document.get("mediaType") or served_as
    # It becomes a header when the manifest is pushed.
    if not isinstance(declared, str) or not (declared.isascii() and declared.isprintable()):
        raise UnsupportedContentError("the manifest's mediaType is not text")
    if document.get("schemaVersion") == 1 or "fsLayers" in document or declared.startswith(_SCHEMA_1):
        raise UnsupportedContentError(
            "the image is in Docker schema 1 format", hint="its publisher has to push it again in a current format; registries no longer take schema 1"
        )
    if "manifests" in document and not document.keys().isdisjoint({"layers", "config", "blobs"}):
        raise UnsupportedContentError("the manifest is both an index and an image")
    for said in (declared, served_as):
        if said in (_IMAGE_TYPES if "manifests" in document else _INDEX_TYPES):
            raise UnsupportedContentError(f"the manifest is said to be of the type {said}, and is {'an index' if 'manifests' in document else 'no index'}")
    config = _descriptor(document["config"]) if document.get("config") is not None else None
    layers = _descriptors(document, "layers") + _descriptors(document, "blobs")
    children = _descriptors(document, "manifests")
    if len(children) > _CHILD_LIMIT:
        raise UnsupportedContentError(f"the index names {len(children)} manifests; {_CHILD_LIMIT} is the limit")
    if config is None and not {"layers", "blobs", "manifests"} & document.keys():
        raise UnsupportedContentError("the document is no image manifest and no index")
    subject = document.get("subject")
    artifact_type = document.get("artifactType") or (config.media_type if config is not None else "")
    return Manifest(
        raw=raw,
        media_type=declared or (OCI_INDEX if "manifests" in document else OCI_MANIFEST),
        digest=compute_digest(raw, like=algorithm),
        children=children,
        blobs=_unique((config, *layers) if config else layers),
        config=config,
        subject=None if subject is None else _descriptor(subject),
        artifact_type=artifact_type if isinstance(artifact_type, str) else "",
    )


def select_platforms(index: Manifest, platforms: Sequence[Platform]) -> Manifest:
    """
    Return a new index with only the children of *platforms*, or *index* itself when all its children stay.

    Children keep their bytes and order; attestations go with what they attest; entries without a platform stay.
    The same input gives the same bytes, hence the same digest.

    Raises:
        UnsupportedContentError: No child is for any of *platforms*.
    """
    kept = {child.digest for child in index.children if child.platform and any(wanted.matches(child.platform) for wanted in platforms)}
    if not kept:
        offered = ", ".join(sorted({str(child.platform) for child in index.children if child.platform and not child.attested_digest})) or "none"
        raise UnsupportedContentError(f"the image has none of the platforms asked for; it has {offered}")
    stays = [child.digest in kept or child.attested_digest in kept or child.platform is None for child in index.children]
    if all(stays):
        return index
    document = _strict_json(index.raw)
    document["manifests"] = [entry for entry, stay in zip(document["manifests"], stays, strict=True) if stay]
    return parse_manifest(dump_json(document), content_type=index.media_type, algorithm=index.digest)


def dump_json(document: object) -> bytes:
    """Return *document* as the JSON of a manifest of our own, always the same bytes; half a surrogate pair stays the escape that it was."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace")


def parse_platform(text: str) -> Platform:
    """
    Return *text* (`os/architecture[/variant]`) as a platform.

    Raises:
        ValueError: It has another shape.
    """
    parts = text.split("/")
    if len(parts) not in {2, 3} or not all(parts):
        raise ValueError(f"{text!r} is no platform; write OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT")
    return Platform(*parts)


def _unique(descriptors: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    return tuple({descriptor.digest: descriptor for descriptor in descriptors}.values())


def _descriptors(document: dict[str, Any], key: str) -> tuple[Descriptor, ...]:
    entries = document.get(key)
    if entries is None:
        return ()
    if not isinstance(entries, list):
        raise UnsupportedContentError(f"the manifest's {key} is not a list")
    return tuple(_descriptor(entry) for entry in entries)


def _descriptor(entry: object) -> Descriptor:
    if not isinstance(entry, dict):
        raise UnsupportedContentError("the manifest holds a descriptor that is not an object")
    _check_keys(entry, _DESCRIPTOR_KEYS)
    size = entry.get("size")
    # bool is an int, and 1e3 a float: neither may pass for a size.
    if type(size) is not int or not 0 <= size <= _BLOB_LIMIT:
        raise UnsupportedContentError(f"the manifest holds a descriptor with an impossible size: {str(size)[:40]}")
    annotations = entry.get("annotations")
    attests = annotations.get("vnd.docker.reference.digest", "") if isinstance(annotations, dict) else ""
    return Descriptor(
        media_type=str(entry.get("mediaType", "")),
        digest=require_digest(entry.get("digest")),
        size_bytes=size,
        platform=_platform(entry.get("platform")),
        is_external=bool(entry.get("urls")) or "nondistributable" in str(entry.get("mediaType")) or ".foreign." in str(entry.get("mediaType")),
        attested_digest=attests if isinstance(attests, str) else "",
    )


def _platform(entry: object) -> Platform | None:
    if not isinstance(entry, dict):
        return None
    _check_keys(entry, _PLATFORM_KEYS)
    os, architecture, variant = (entry.get(key) or "" for key in ("os", "architecture", "variant"))
    return Platform(str(os), str(architecture), str(variant)) if os or architecture else None


def _strict_json(raw: bytes) -> dict[str, Any]:
    """Parse as every other reader would: UTF-8, no duplicate keys, no NaN, no key of a manifest's in other letters."""
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > _VALUE_LIMIT:
        raise UnsupportedContentError(f"the manifest holds more than {_VALUE_LIMIT:,} values")
    try:
        document = json.loads(raw.decode("utf-8"), object_pairs_hook=_unambiguous, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise UnsupportedContentError("the manifest is not valid JSON") from error
    if not isinstance(document, dict):
        raise UnsupportedContentError("the manifest is not a JSON object")
    _check_keys(document, _MANIFEST_KEYS)
    return document


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise UnsupportedContentError("the manifest has keys that readers take differently: one is there twice")
    return made


def _check_keys(entry: dict[str, Any], known: frozenset[str]) -> None:
    """Refuse keys that differ from *known* ones by case alone: Go's reader takes them for the same, ours does not. Others are nobody's affair."""
    if entry.keys() <= known:
        return
    folded = {key.casefold(): key for key in known}
    for key in entry:
        if folded.get(key.casefold(), key) != key:
            raise UnsupportedContentError(f"the manifest has keys that readers take differently: {key[:40]!a} for {folded[key.casefold()]!r}")


def _refuse(constant: str) -> None:
    raise UnsupportedContentError(f"the manifest holds {constant}")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _refuse(text[:40])
    return number
