"""
Push and pull a state as an OCI artifact.

The artifact is an image manifest with one layer. A pulled artifact is untrusted: its type and declared size are checked before
the layer is downloaded, its digest afterwards.
Spec: image-spec 1.1 "Guidelines for Artifact Usage".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from imgsync.errors import ContentMismatchError, NotFoundError, RegistryError, StateError, TooLargeError, UnsupportedContentError
from imgsync.oci.image_store import ImageStore
from imgsync.oci.limits.retry import retry_call
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import DigestVerifier, compute_digest, is_digest, verify_chunks
from imgsync.oci.spec.manifest import Manifest, parse_manifest
from imgsync.oci.spec.media_types import OCI_MANIFEST
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_bytes

ARTIFACT_TYPE = "application/vnd.imgsync.state.v1"
LAYER_TYPE = "application/vnd.imgsync.state.v1.jsonl+gzip"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
LAYER_LIMIT = 64 << 20
# Digests of the artifacts that this one was made from, latest first. If the one last seen is missing, it was overwritten unseen.
_ANCESTORS = "vnd.imgsync.state.ancestors"
_ANCESTORS_LIMIT = 64
_FAMILY = "application/vnd.imgsync.state."
_EMPTY = b"{}"
_CONFIG = Descriptor(EMPTY_TYPE, compute_digest(_EMPTY), len(_EMPTY))


@dataclass(frozen=True, slots=True)
class Artifact:
    """
    A stored state.

    `ancestors` are the digests of the artifacts it was made from, latest first.
    """

    digest: str
    content: bytes
    ancestors: tuple[str, ...] = ()


def pull_artifact(client: ImageStore, reference: Reference) -> Artifact | None:
    """
    Pull the state at *reference*, if there is one.

    Raises:
        StateError: It is not a state, too large or damaged.
        RegistryError: The registry cannot be reached, or refuses.
    """
    try:
        manifest = client.pull_manifest(reference)
    except NotFoundError:
        return None
    except (UnsupportedContentError, ContentMismatchError) as error:
        raise unusable_state(reference, error.message) from error
    layer = _find_layer(reference, manifest)
    running = DigestVerifier(layer.digest, layer.size_bytes, f"pull blob {reference.repository.with_digest(layer.digest)}")
    try:
        content = b"".join(verify_chunks(client.download(reference.repository, layer), running))
    except (NotFoundError, ContentMismatchError) as error:
        raise unusable_state(reference, error.message) from error
    return Artifact(manifest.digest, content, _read_ancestors(manifest))


def push_content(client: ImageStore, repository: Repository, content: bytes, *, make_repository: Callable[[], bool]) -> None:
    """
    Push the blobs of a state to *repository*, if they are missing.

    *make_repository* is called once if the repository does not exist; it returns whether it created it.

    Raises:
        RegistryError: The registry refuses, or cannot be reached.
    """
    try:
        _push_blob(client, repository, _CONFIG, _EMPTY)
    except NotFoundError:
        if not make_repository():
            raise
        _push_blob(client, repository, _CONFIG, _EMPTY)
    _push_blob(client, repository, _layer_descriptor(content), content)


def build_manifest(content: bytes, *, created_at: str, ancestors: Iterable[str]) -> Manifest:
    """Build the manifest of a state made from *ancestors*, latest first."""
    known = list(dict.fromkeys(ancestors))[:_ANCESTORS_LIMIT]
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "config": _to_json(_CONFIG),
        "layers": [_to_json(_layer_descriptor(content))],
        "annotations": {"org.opencontainers.image.created": created_at} | ({_ANCESTORS: ",".join(known)} if known else {}),
    }
    return parse_manifest(json.dumps(document, separators=(",", ":")).encode())


def unusable_state(reference: Reference, problem: str, *, hint: str = "") -> StateError:
    """Return the error for an unusable state, with a remedy."""
    remedy = f"replace it (imgsync state push --force {reference}), or delete the tag and run `imgsync state rebuild`; nothing was changed"
    return StateError(f"{reference} has no usable state: {problem}", hint=hint or remedy)


def _find_layer(reference: Reference, manifest: Manifest) -> Descriptor:
    """Return the layer of *manifest* with the state."""
    kind = (manifest.artifact_type or manifest.media_type or "something else")[:100]
    if kind != ARTIFACT_TYPE:
        if kind.startswith(_FAMILY):
            raise unusable_state(reference, f"unsupported type {kind}", hint="use the imgsync version that wrote it, or a later one")
        # It may be an image of the user.
        raise unusable_state(reference, f"it is not a state of imgsync but {kind}", hint="name another tag for the state; nothing was changed")
    layers = [blob for blob in manifest.blobs if blob.media_type == LAYER_TYPE]
    if len(layers) != 1:
        raise unusable_state(reference, f"expected one layer of type {LAYER_TYPE}, got {len(layers)}")
    if layers[0].size_bytes > LAYER_LIMIT:
        raise unusable_state(reference, f"its declared size {format_bytes(layers[0].size_bytes)} exceeds the limit of {format_bytes(LAYER_LIMIT)}; not pulled")
    return layers[0]


def _read_ancestors(manifest: Manifest) -> tuple[str, ...]:
    annotations = json.loads(manifest.raw).get("annotations")
    value = annotations.get(_ANCESTORS) if isinstance(annotations, dict) else None
    return tuple(filter(is_digest, value.split(",")[:_ANCESTORS_LIMIT])) if isinstance(value, str) else ()


def _layer_descriptor(content: bytes) -> Descriptor:
    return Descriptor(LAYER_TYPE, compute_digest(content), len(content))


def _push_blob(client: ImageStore, repository: Repository, blob: Descriptor, content: bytes) -> None:
    def attempt() -> None:
        session = client.begin_upload(repository, blob, mount_from="")
        if session is None:
            return
        try:
            session.put([content])
        except TooLargeError:
            # The next attempt uses smaller chunks, until no size is left.
            attempt()
        except RegistryError:
            session.cancel()
            raise

    if not client.has_blob(repository, blob):
        retry_call(attempt, client.retry_policy, operation="push blob", reference=repository.with_digest(blob.digest))


def _to_json(descriptor: Descriptor) -> dict[str, object]:
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size_bytes}
