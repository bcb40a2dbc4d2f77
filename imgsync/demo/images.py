"""Build small images with real layers, reproducibly."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile

from imgsync.system.dataclass import dataclass

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as a registry stores it: content by digest."""

    blobs: dict[str, bytes]
    manifests: dict[str, tuple[str, bytes]]
    """Media type and bytes, by digest."""

    root: str


def build_index(name: str, version: str, *, architectures: tuple[str, ...] = ("amd64", "arm64")) -> StoredImage:
    """Return an index of images; versions of a name share a layer."""
    blobs: dict[str, bytes] = {}
    manifests: dict[str, tuple[str, bytes]] = {}
    entries = []
    for architecture in architectures:
        raw = _build_image(name, version, architecture, blobs)
        manifests[_digest(raw)] = (_MANIFEST, raw)
        entries.append({"mediaType": _MANIFEST, "digest": _digest(raw), "size": len(raw), "platform": {"os": "linux", "architecture": architecture}})
    root = _to_json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries})
    manifests[_digest(root)] = (_INDEX, root)
    return StoredImage(blobs, manifests, _digest(root))


def _build_image(name: str, version: str, architecture: str, blobs: dict[str, bytes]) -> bytes:
    """Return the manifest of an image; add its content to *blobs*."""
    # Text that gzip cannot compress well, so that there are bytes to move.
    filling = "".join(hashlib.sha256(f"{name} {architecture} {number}".encode()).hexdigest() for number in range(8000))
    tars = [_build_tar("base.txt", filling), _build_tar("version.txt", f"{name} {version}\n")]
    layers = [gzip.compress(tar, mtime=0) for tar in tars]
    config = _to_json(
        {
            "architecture": architecture,
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": {"Labels": {"version": version}},
            "rootfs": {"type": "layers", "diff_ids": [_digest(tar) for tar in tars]},
        }
    )
    blobs.update((_digest(blob), blob) for blob in (*layers, config))
    return _to_json(
        {"schemaVersion": 2, "mediaType": _MANIFEST, "config": _describe(_CONFIG, config), "layers": [_describe(_LAYER, layer) for layer in layers]}
    )


def _build_tar(name: str, text: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _describe(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _to_json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
