"""
The artifact: an OCI image manifest with the type of a state, the empty config, and one layer.

What is pulled may be anybody's: type and declared size are looked at before the layer is asked for, its digest after.
Spec: image-spec 1.1 "Guidelines for Artifact Usage"; design.md §6.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from imgsync.errors import ContentMismatchError, NotFoundError, RegistryError, StateError, TooLargeError, UnsupportedContentError
from imgsync.oci.download import download
from imgsync.oci.limits.retry import retry_call
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.digest import DigestVerifier, compute_digest, is_digest, verify_chunks
from imgsync.oci.spec.manifest import OCI_MANIFEST, Descriptor, Manifest, parse_manifest
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.oci.upload import begin_upload
from imgsync.text.units import format_bytes

ARTIFACT_TYPE = "application/vnd.imgsync.state.v1"
LAYER_TYPE = "application/vnd.imgsync.state.v1.jsonl+gzip"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
LAYER_LIMIT = 64 << 20
# Which artifacts its content goes back to, the latest first: whoever last saw another one knows that theirs was overwritten unseen.
_ANCESTORS = "vnd.imgsync.state.ancestors"
_ANCESTORS_LIMIT = 64
_FAMILY = "application/vnd.imgsync.state."
_EMPTY = b"{}"
_CONFIG = Descriptor(EMPTY_TYPE, compute_digest(_EMPTY), len(_EMPTY))


@dataclass(frozen=True, slots=True)
class Artifact:
    """A state as a registry holds it: its manifest's digest, the bytes of its layer, and the digests of those it was made from, the latest first."""

    digest: str
    content: bytes
    ancestors: tuple[str, ...] = ()


def pull_artifact(client: RegistryClient, reference: Reference) -> Artifact | None:
    """
    Return the state that *reference* names, its bytes checked against their digest but not yet read; None when there is nothing.

    Raises:
        StateError: It is no state, too large, or damaged.
        RegistryError: The registry cannot be asked, or does not let us.
    """
    try:
        manifest = client.pull_manifest(reference)
    except NotFoundError:
        return None
    except (UnsupportedContentError, ContentMismatchError) as error:
        raise broken(reference, error.message) from error
    layer = _layer(reference, manifest)
    running = DigestVerifier(layer.digest, layer.size_bytes, f"pull blob {reference.repository.with_digest(layer.digest)}")
    try:
        content = b"".join(verify_chunks(download(client, reference.repository, layer), running))
    except (NotFoundError, ContentMismatchError) as error:
        raise broken(reference, error.message) from error
    return Artifact(manifest.digest, content, _ancestors(manifest))


def upload(client: RegistryClient, repository: Repository, content: bytes, *, make_repository: Callable[[], bool]) -> None:
    """
    Put what an artifact of *content* consists of into *repository*, where it is not there yet.

    *make_repository* is asked once where the registry does not know the repository, and returns whether it made it.

    Raises:
        RegistryError: The registry refuses, or cannot be reached.
    """
    try:
        _bring(client, repository, _CONFIG, _EMPTY)
    except NotFoundError:
        if not make_repository():
            raise
        _bring(client, repository, _CONFIG, _EMPTY)
    _bring(client, repository, _layer_of(content), content)


def manifest_of(content: bytes, *, created_at: str, ancestors: Iterable[str]) -> Manifest:
    """Return the manifest of a state's *content* that was made from *ancestors*, the latest first."""
    known = list(dict.fromkeys(ancestors))[:_ANCESTORS_LIMIT]
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "config": _entry(_CONFIG),
        "layers": [_entry(_layer_of(content))],
        "annotations": {"org.opencontainers.image.created": created_at} | ({_ANCESTORS: ",".join(known)} if known else {}),
    }
    return parse_manifest(json.dumps(document, separators=(",", ":")).encode())


def broken(reference: Reference, what: str, *, hint: str = "") -> StateError:
    """Return the error of a state that cannot be used, and what to do about it."""
    remedy = f"replace it (imgsync state push --force {reference}), or delete the tag and let `imgsync state rebuild` make a new one; nothing was done"
    return StateError(f"{reference} holds no state that can be used: {what}", hint=hint or remedy)


def _layer(reference: Reference, manifest: Manifest) -> Descriptor:
    """Return the layer of *manifest* that holds the state."""
    kind = (manifest.artifact_type or manifest.media_type or "something else")[:100]
    if kind != ARTIFACT_TYPE:
        if kind.startswith(_FAMILY):
            raise broken(reference, f"it is a {kind}", hint="use the version of imgsync that wrote it, or a later one")
        raise broken(reference, f"it is no state of imgsync but {kind}")
    layers = [blob for blob in manifest.blobs if blob.media_type == LAYER_TYPE]
    if len(layers) != 1:
        raise broken(reference, f"it has {len(layers)} layers of type {LAYER_TYPE} where one is")
    if layers[0].size_bytes > LAYER_LIMIT:
        raise broken(reference, f"it says to have {format_bytes(layers[0].size_bytes)}, and {format_bytes(LAYER_LIMIT)} is the limit; it was not pulled")
    return layers[0]


def _ancestors(manifest: Manifest) -> tuple[str, ...]:
    annotations = json.loads(manifest.raw).get("annotations")
    said = annotations.get(_ANCESTORS) if isinstance(annotations, dict) else None
    return tuple(filter(is_digest, said.split(",")[:_ANCESTORS_LIMIT])) if isinstance(said, str) else ()


def _layer_of(content: bytes) -> Descriptor:
    return Descriptor(LAYER_TYPE, compute_digest(content), len(content))


def _bring(client: RegistryClient, repository: Repository, blob: Descriptor, content: bytes) -> None:
    def attempt() -> None:
        session = begin_upload(client, repository, blob, mount_from="")
        if session is None:
            return
        try:
            session.put([content])
        except TooLargeError:
            # As often as sizes are left to try.
            attempt()
        except RegistryError:
            session.cancel()
            raise

    if not client.has_blob(repository, blob):
        retry_call(attempt, client.retry_policy, operation="push blob", reference=str(repository.with_digest(blob.digest)))


def _entry(descriptor: Descriptor) -> dict[str, object]:
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size_bytes}
