"""
How referrers are named: the fallback tag and its index, and cosign's tags. Names and documents; nothing is asked here.

Spec: distribution-spec 1.1 "Listing Referrers", "Referrers Tag Schema"; cosign's SIGNATURE_SPEC for `.sig`, `.att`, `.sbom`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from imgsync.errors import UnsupportedContentError
from imgsync.oci.spec.manifest import OCI_INDEX, Descriptor, Manifest, dump_json, parse_manifest

_COSIGN = ("sig", "att", "sbom")
# Where cosign says what an attestation is about: beside a bundle, beside a layer of its tag.
_PREDICATES = ("dev.sigstore.bundle.predicateType", "predicateType")
_REFERRERS_TAG = re.compile(r"sha(?:256|512)-[0-9a-f]{64,128}(?:\.(?:sig|att|sbom))?")


def format_fallback_tag(digest: str) -> str:
    """Return the tag that holds the index of what refers to *digest*, where a registry has no referrers API."""
    algorithm, _, encoded = digest.partition(":")
    return re.sub(r"[^A-Za-z0-9._-]", "-", f"{algorithm[:32]}-{encoded[:64]}")


def list_cosign_tags(digest: str) -> tuple[str, ...]:
    """Return the tags under which cosign keeps signatures, attestations and SBOMs of *digest*."""
    name = digest.replace(":", "-")
    return tuple(f"{name}.{suffix}" for suffix in _COSIGN)


def is_referrers_tag(tag: str) -> bool:
    """Return whether *tag* is a fallback tag or one of cosign's: it belongs to an image and is none itself."""
    return _REFERRERS_TAG.fullmatch(tag) is not None


def read_annotated_layers(manifest: Manifest) -> tuple[tuple[Descriptor, Mapping[str, str]], ...]:
    """Return each layer of *manifest* with what is noted beside it, in order; signatures of one payload by two keys are two of them."""
    blobs = {blob.digest: blob for blob in manifest.blobs}
    layers = json.loads(manifest.raw).get("layers") or ()
    return tuple((replace(blobs[layer["digest"]], media_type=str(layer.get("mediaType", ""))), _texts(layer.get("annotations"))) for layer in layers)


def list_artifact_types(manifest: Manifest) -> frozenset[str]:
    """Return every type by which somebody could mean the referrer *manifest*: its artifact type, those of its layers, and what it attests."""
    types = {manifest.artifact_type, *(blob.media_type for blob in manifest.blobs)}
    if b"redicateType" in manifest.raw:
        notes = [_texts(json.loads(manifest.raw).get("annotations")), *(notes for _, notes in read_annotated_layers(manifest))]
        types |= {one[name] for one in notes for name in _PREDICATES if name in one}
    return frozenset(types)


def add_referrers(current: Manifest | None, referrers: Sequence[Manifest], *, source: Manifest | None) -> Manifest | None:
    """
    Return the fallback index that names *referrers* too, None when *current* does already.

    What *current* names stays. Where there is none yet and the *source*'s index names just these, it is that one, byte for byte.

    Raises:
        UnsupportedContentError: The tag holds something that is no index.
    """
    if current is not None and not current.is_index:
        raise UnsupportedContentError(
            "the fallback tag of the referrers holds something that is no index", hint="remove that tag from the destination, or set `referrers: false`"
        )
    named = {child.digest for child in current.children} if current is not None else set()
    missing = [referrer for referrer in referrers if referrer.digest not in named]
    if not missing:
        return None
    if current is None and source is not None and {child.digest for child in source.children} == {one.digest for one in referrers}:
        return source
    document: dict[str, Any] = json.loads(current.raw) if current is not None else {"schemaVersion": 2, "mediaType": OCI_INDEX}
    document["manifests"] = [*(document.get("manifests") or ()), *map(_entry, missing)]
    return parse_manifest(dump_json(document), content_type=OCI_INDEX)


def _entry(referrer: Manifest) -> dict[str, Any]:
    """Return what an index says of *referrer*, as registries that have the API would."""
    annotations = json.loads(referrer.raw).get("annotations")
    entry: dict[str, Any] = {"mediaType": referrer.media_type, "digest": referrer.digest, "size": referrer.size_bytes, "artifactType": referrer.artifact_type}
    return {key: value for key, value in entry.items() if value != ""} | ({"annotations": annotations} if annotations else {})


def _texts(annotations: object) -> Mapping[str, str]:
    return {name: text for name, text in annotations.items() if isinstance(text, str)} if isinstance(annotations, dict) else {}
