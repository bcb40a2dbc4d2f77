"""Tiny, deterministic, real images, and a plain way to push them: no line of imgsync is involved."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import random
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.registry_process import RegistryProcess

_OCI = "application/vnd.oci.image."
_DOCKER = "application/vnd.docker."
TYPES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "oci": {
            "manifest": f"{_OCI}manifest.v1+json",
            "index": f"{_OCI}index.v1+json",
            "config": f"{_OCI}config.v1+json",
            "layer": f"{_OCI}layer.v1.tar+gzip",
        },
        "docker": {
            "manifest": f"{_DOCKER}distribution.manifest.v2+json",
            "index": f"{_DOCKER}distribution.manifest.list.v2+json",
            "config": f"{_DOCKER}container.image.v1+json",
            "layer": f"{_DOCKER}image.rootfs.diff.tar.gzip",
        },
    }
)


@dataclass(frozen=True, slots=True)
class Image:
    """What one tag names: the root manifest's bytes, its own blobs by digest, and the images an index names."""

    raw: bytes
    media_type: str
    own_blobs: Mapping[str, bytes] = field(default_factory=dict)
    children: tuple[Image, ...] = ()
    platform: str = "linux/amd64"

    @property
    def digest(self) -> str:
        """Return the digest of the root manifest."""
        return digest_of(self.raw)

    @property
    def crc32(self) -> str:
        """Return the crc32 of the root manifest as eight hex digits."""
        return f"{zlib.crc32(self.raw):08x}"

    @property
    def blobs(self) -> dict[str, bytes]:
        """Return every blob of the image and of all below it, by digest."""
        return {digest: content for part in self.parts for digest, content in part.own_blobs.items()}

    @property
    def parts(self) -> tuple[Image, ...]:
        """Return everything with a manifest, each once, children before parents, the root last."""
        found = {part.digest: part for child in self.children for part in child.parts}
        return (*found.values(), self)

    @property
    def manifests(self) -> dict[str, bytes]:
        """Return the bytes of every manifest by digest, the root last."""
        return {part.digest: part.raw for part in self.parts}

    @property
    def size_bytes(self) -> int:
        """Return the compressed size: every blob once."""
        return sum(map(len, self.blobs.values()))


def digest_of(content: bytes) -> str:
    """Return the sha256 digest of *content*."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def to_json(document: object) -> bytes:
    """Return *document* as the compact JSON that our manifests are."""
    return json.dumps(document, separators=(",", ":")).encode()


@functools.cache
def layer(seed: object, size_bytes: int = 1024) -> bytes:
    """Return a gzipped tar with one file of *size_bytes* that does not compress; the blob is a little larger than that."""
    content = random.Random(f"layer {seed}").randbytes(size_bytes)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(f"layer-{seed}")
        entry.size = size_bytes
        archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)


def image(
    layers: int | Sequence[bytes] = 2,
    *,
    seed: object = 1,
    layer_bytes: int = 1024,
    media: str = "oci",
    created: str = "2026-01-01T00:00:00Z",
    platform: str = "linux/amd64",
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """Return an image of so many layers, or of just these; another *seed* is another image with no blob in common."""
    types = TYPES[media]
    contents = [layer((seed, platform, number), layer_bytes) for number in range(layers)] if isinstance(layers, int) else list(layers)
    os, architecture, *_ = platform.split("/")
    config = to_json(
        {
            "created": created,
            "os": os,
            "architecture": architecture,
            "config": {"Labels": {"seed": str(seed), "platform": platform}},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(gzip.decompress(content)) for content in contents]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": types["manifest"],
        "config": _descriptor(types["config"], config),
        "layers": [_descriptor(types["layer"], content) for content in contents],
    } | ({"annotations": dict(annotations)} if annotations else {})
    return Image(to_json(manifest), types["manifest"], {digest_of(content): content for content in (config, *contents)}, platform=platform)


def index(
    platforms: Sequence[str] = ("linux/amd64", "linux/arm64"),
    *,
    seed: object = 1,
    nested: bool = False,
    media: str = "oci",
    layer_bytes: int = 1024,
    created: str = "2026-01-01T00:00:00Z",
) -> Image:
    """Return an index of one image per platform; *nested* puts another index around it."""
    children = tuple(image(seed=seed, platform=platform, media=media, layer_bytes=layer_bytes, created=created) for platform in platforms)
    inner = index_of(children, media=media)
    return index_of((inner,), media=media) if nested else inner


def index_of(children: Sequence[Image], *, media: str = "oci", annotations: Mapping[str, str] | None = None) -> Image:
    """Return an index that names *children*, in this order."""
    types = TYPES[media]
    document = {"schemaVersion": 2, "mediaType": types["index"], "manifests": [_entry(child) for child in children]}
    return Image(to_json(document | ({"annotations": dict(annotations)} if annotations else {})), types["index"], children=tuple(children))


def artifact(artifact_type: str = "application/vnd.example.sbom.v1+json", *, seed: object = 1, subject: Image | None = None) -> Image:
    """Return an OCI artifact: an empty config and one blob of its own type, with a subject if one is given."""
    content = to_json({"artifact": str(seed)})
    manifest = {
        "schemaVersion": 2,
        "mediaType": TYPES["oci"]["manifest"],
        "artifactType": artifact_type,
        "config": _descriptor("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [_descriptor(artifact_type, content)],
    } | ({"subject": _descriptor(subject.media_type, subject.raw)} if subject else {})
    return Image(to_json(manifest), TYPES["oci"]["manifest"], {digest_of(b"{}"): b"{}", digest_of(content): content})


def shared_base_images(count: int, *, seed: object = 1, layer_bytes: int = 1024) -> tuple[Image, ...]:
    """Return *count* images that share their first layer and differ in the second and the config."""
    base = layer(("base", seed), layer_bytes)
    return tuple(image([base, layer((seed, "own", number), layer_bytes)], seed=(seed, number)) for number in range(count))


def push(registry: RegistryProcess, content: Image, name: str) -> Image:
    """Push *content* to *registry* as `repository:tag` (or `repository`, by digest alone) and return it."""
    repository, _, tag = name.partition(":")
    with registry.client(f"repository:{repository}:pull,push") as client:
        for digest, blob in content.blobs.items():
            begun = client.post(f"/v2/{repository}/blobs/uploads/")
            _expect(begun.status_code == 202, begun.text)
            done = client.put(begun.headers["location"] + f"&digest={digest}", content=blob)
            _expect(done.status_code == 201, done.text)
        for part in content.parts:
            reference = (tag or part.digest) if part is content else part.digest
            done = client.put(f"/v2/{repository}/manifests/{reference}", content=part.raw, headers={"Content-Type": part.media_type})
            _expect(done.status_code == 201, done.text)
    return content


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def _entry(child: Image) -> dict[str, object]:
    if child.children:
        return _descriptor(child.media_type, child.raw)
    os, architecture, *variant = child.platform.split("/")
    platform = {"os": os, "architecture": architecture} | ({"variant": variant[0]} if variant else {})
    return _descriptor(child.media_type, child.raw) | {"platform": platform}


def _expect(holds: bool, said: str) -> None:
    if not holds:
        raise AssertionError(f"the harness could not push: {said}")
