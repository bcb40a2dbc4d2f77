"""
Name referrers: the fallback tag with its index, and cosign's tags.

Sends no requests.

Spec: distribution-spec 1.1 "Listing Referrers", "Referrers Tag Schema"; cosign's SIGNATURE_SPEC for `.sig`, `.att`, `.sbom`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.manifest import Manifest, parse_manifest
from imgsync.oci.spec.media_types import OCI_INDEX, normalize_media_type
from imgsync.oci.spec.reference import is_tag
from imgsync.oci.spec.strict_json import dump_json

# Annotations in which cosign writes the type of an attestation: on a bundle, and on a layer of an `.att` tag.
_PREDICATES = ("dev.sigstore.bundle.predicateType", "predicateType")
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9._-]")
_REFERRERS_TAG = re.compile(r"sha(?:256|512)-[0-9a-f]{64,128}(?:\.(?:sig|att|sbom))?")


def format_fallback_tag(digest: str) -> str:
    """
    Return the tag whose index lists the referrers of *digest*.

    Registries without a referrers API need it.
    """
    algorithm, _, encoded = digest.partition(":")
    return _NOT_IN_TAGS.sub("-", f"{algorithm[:32]}-{encoded[:64]}")


def list_cosign_tags(digest: str) -> tuple[str, ...]:
    """Return cosign's tags for signatures, attestations and SBOMs of *digest*."""
    name = digest.replace(":", "-")
    # The name of a sha512 digest is too long for a tag.
    return (f"{name}.sig", f"{name}.att", f"{name}.sbom") if is_tag(f"{name}.sbom") else ()


def is_referrers_tag(tag: str) -> bool:
    """Return whether *tag* is a fallback tag or a cosign tag."""
    return _REFERRERS_TAG.fullmatch(tag) is not None


def read_annotated_layers(manifest: Manifest) -> tuple[tuple[Descriptor, Mapping[str, str]], ...]:
    """
    Return each layer of *manifest* with its annotations, in order.

    Two signatures of one payload are two layers with the same digest.
    """
    blobs = {blob.digest: blob for blob in manifest.blobs}
    layers = json.loads(manifest.raw).get("layers") or ()
    return tuple(
        (replace(blobs[layer["digest"]], media_type=normalize_media_type(str(layer.get("mediaType", "")))), _keep_strings(layer.get("annotations")))
        for layer in layers
    )


def list_entries(manifest: Manifest) -> frozenset[tuple[str, frozenset[tuple[str, str]]]]:
    """
    Return the layers of *manifest* as a set, itself without layers.

    Annotations count: signatures by two keys may have the same payload.
    """
    layers = frozenset((layer.digest, frozenset(annotations.items())) for layer, annotations in read_annotated_layers(manifest))
    return layers or frozenset({(manifest.digest, frozenset[tuple[str, str]]())})


def list_artifact_types(manifest: Manifest) -> frozenset[str]:
    """
    Return every type that a configuration may use for this referrer.

    All are normalized: its artifact type, the media types of its layers, and the predicate types of its attestations.
    """
    types = {manifest.artifact_type, *(blob.media_type for blob in manifest.blobs)}
    if b"redicateType" in manifest.raw:
        annotations = [_keep_strings(json.loads(manifest.raw).get("annotations")), *(layer for _, layer in read_annotated_layers(manifest))]
        types |= {normalize_media_type(one[name]) for one in annotations for name in _PREDICATES if name in one}
    return frozenset(types)


def is_fallback_index(manifest: Manifest, subject: str) -> bool:
    """
    Return whether *manifest* can be the list of referrers of *subject*.

    A registry that reads the fallback tag as a digest serves *subject* itself.
    """
    return manifest.is_index and not manifest.matches(subject)


def find_unlisted(index: Manifest | None, referrers: Sequence[Manifest]) -> list[Manifest]:
    """Return those of *referrers* that the fallback *index* does not list."""
    listed = [child.digest for child in index.children] if index is not None else []
    return [referrer for referrer in referrers if not any(map(referrer.matches, listed))]


def add_referrers(
    current: Manifest | None, referrers: Sequence[Manifest], *, source: Manifest | None, gone: Collection[str] = (), is_ours: bool = False
) -> Manifest:
    """
    Return the fallback index *current* with *referrers* added.

    Entries of *current* stay, except *gone* ones. If none stays, or *current* is what imgsync pushed, and the *source*'s index lists exactly
    these referrers, the result is the source's index.
    """
    document: dict[str, Any] = json.loads(current.raw) if current is not None else {"schemaVersion": 2, "mediaType": OCI_INDEX}
    kept = [entry for entry in document.get("manifests") or () if entry["digest"] not in gone]
    if (is_ours or not kept) and source is not None and _list_sizes(source.children) == _list_sizes(referrers):
        return source
    document["manifests"] = [*kept, *map(_make_entry, find_unlisted(current, referrers))]
    return parse_manifest(dump_json(document), content_type=OCI_INDEX)


def _list_sizes(content: Iterable[Descriptor | Manifest]) -> set[tuple[str, int]]:
    return {(one.digest, one.size_bytes) for one in content}


def _make_entry(referrer: Manifest) -> dict[str, Any]:
    """Return the index entry that the referrers API would give *referrer*."""
    annotations = json.loads(referrer.raw).get("annotations")
    entry: dict[str, Any] = {"mediaType": referrer.media_type, "digest": referrer.digest, "size": referrer.size_bytes, "artifactType": referrer.artifact_type}
    return {key: value for key, value in entry.items() if value != ""} | ({"annotations": annotations} if annotations else {})


def _keep_strings(annotations: object) -> Mapping[str, str]:
    return {name: text for name, text in annotations.items() if isinstance(text, str)} if isinstance(annotations, dict) else {}
