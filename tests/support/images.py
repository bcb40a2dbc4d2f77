"""Small deterministic real images, pushed without imgsync."""

from __future__ import annotations

import dataclasses
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

import httpx

from tests.support.plain_http import PlainAnswer, PlainClient

Kind = Mapping[str, str]
_OCI = "application/vnd.oci.image."
_DOCKER = "application/vnd.docker."
OCI: Kind = MappingProxyType(
    {"manifest": f"{_OCI}manifest.v1+json", "index": f"{_OCI}index.v1+json", "config": f"{_OCI}config.v1+json", "layer": f"{_OCI}layer.v1.tar+gzip"}
)
DOCKER: Kind = MappingProxyType(
    {
        "manifest": f"{_DOCKER}distribution.manifest.v2+json",
        "index": f"{_DOCKER}distribution.manifest.list.v2+json",
        "config": f"{_DOCKER}container.image.v1+json",
        "layer": f"{_DOCKER}image.rootfs.diff.tar.gzip",
    }
)
_PIECE = 1 << 20
ANY_MANIFEST = ", ".join(kind[part] for kind in (OCI, DOCKER) for part in ("index", "manifest"))


@dataclass(frozen=True, slots=True)
class Image:
    """An image: the root manifest, its blobs by digest, and its children."""

    raw: bytes
    media_type: str
    blobs: Mapping[str, bytes] = field(default_factory=dict)
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
    def all_blobs(self) -> dict[str, bytes]:
        """Return every blob of the image and its children, by digest."""
        return {digest: content for part in self.parts for digest, content in part.blobs.items()}

    @property
    def parts(self) -> tuple[Image, ...]:
        """Return every manifest once, children first, the root last."""
        found = {part.digest: part for child in self.children for part in child.parts}
        return (*found.values(), self)

    @property
    def manifests(self) -> dict[str, bytes]:
        """Return the bytes of every manifest by digest, the root last."""
        return {part.digest: part.raw for part in self.parts}

    @property
    def size_bytes(self) -> int:
        """Return the compressed size: every blob once."""
        return sum(map(len, self.all_blobs.values()))


def digest_of(content: bytes) -> str:
    """Return the sha256 digest of *content*."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def to_json(document: object) -> bytes:
    """Return *document* as the compact JSON that our manifests are."""
    return json.dumps(document, separators=(",", ":")).encode()


@functools.cache
def layer(seed: object, size_bytes: int = 1024) -> bytes:
    """Return a gzipped tar with one incompressible file of *size_bytes*."""
    source = random.Random(f"layer {seed}")
    # In pieces: Python cannot make one number of that many bits at once.
    content = b"".join(source.randbytes(min(_PIECE, size_bytes - begin)) for begin in range(0, size_bytes, _PIECE))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(f"layer-{seed}")
        entry.size = size_bytes
        archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)


def image(
    seed: object = 1,
    layers: int = 2,
    *,
    shared: bytes | None = None,
    layer_bytes: int = 1024,
    kind: Kind = OCI,
    created: str = "2026-01-01T00:00:00Z",
    platform: str = "linux/amd64",
    annotations: Mapping[str, str] | None = None,
    contents: Sequence[bytes] = (),
) -> Image:
    """
    Return an image of new layers, on top of *shared*, or of *contents*.

    Images with different seeds share no other blob.
    """
    contents = list(contents) or [layer((seed, platform, number), layer_bytes) for number in range(layers)]
    contents[:0] = [] if shared is None else [shared]
    os, architecture, *_ = platform.split("/")
    config = to_json(
        {
            "created": created,
            "os": os,
            "architecture": architecture,
            "config": {"Labels": {"seed": str(seed), "platform": platform}},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(content) for content in contents]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind["manifest"],
        "config": _descriptor(kind["config"], config),
        "layers": [_descriptor(kind["layer"], content) for content in contents],
    } | ({"annotations": dict(annotations)} if annotations else {})
    return Image(to_json(manifest), kind["manifest"], {digest_of(content): content for content in (*contents, config)}, platform=platform)


def index(
    seed: object = 1,
    *,
    platforms: Sequence[str] = ("amd64", "arm64"),
    children: Sequence[Image] = (),
    nested: bool = False,
    kind: Kind = OCI,
    layer_bytes: int = 1024,
    created: str = "2026-01-01T00:00:00Z",
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """
    Return an index of one image per platform, or of *children*.

    Platforms are written `arm64` or `linux/arm64/v8`; *nested* puts another index around it.
    """
    full = [platform if "/" in platform else f"linux/{platform}" for platform in platforms]
    made = tuple(children) or tuple(image(seed, platform=platform, kind=kind, layer_bytes=layer_bytes, created=created) for platform in full)
    document = {"schemaVersion": 2, "mediaType": kind["index"], "manifests": [_entry(child) for child in made]}
    inner = Image(to_json(document | ({"annotations": dict(annotations)} if annotations else {})), kind["index"], children=made)
    return index(children=(inner,), kind=kind) if nested else inner


def artifact(seed: object = 1, *, artifact_type: str = "application/vnd.example.sbom.v1+json", subject: Image | None = None) -> Image:
    """Return an OCI artifact with one blob, and a subject if given."""
    content = to_json({"artifact": str(seed)})
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI["manifest"],
        "artifactType": artifact_type,
        "config": _descriptor("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [_descriptor(artifact_type, content)],
    } | ({"subject": _descriptor(subject.media_type, subject.raw)} if subject else {})
    return Image(to_json(manifest), OCI["manifest"], {digest_of(content): content, digest_of(b"{}"): b"{}"})


def shared_base_images(count: int, *, seed: object = 1, layer_bytes: int = 1024) -> tuple[Image, ...]:
    """Return *count* images that share only their first layer."""
    base = layer(("base", seed), layer_bytes)
    return tuple(image((seed, number), layers=1, shared=base, layer_bytes=layer_bytes) for number in range(count))


def push(registry: object, repository: str, tag: str, content: Image, *, client: httpx.Client | None = None) -> Image:
    """Push *content* to *registry* and return it; without a *tag* by digest."""
    with client or PlainClient(str(registry)) as http:
        for digest, blob in content.all_blobs.items():
            begun = http.post(f"/v2/{repository}/blobs/uploads/")
            _expect(begun, 202)
            location = begun.headers["location"]
            _expect(http.put(f"{location}{'&' if '?' in location else '?'}digest={digest}", content=blob), 201)
        for part in content.parts:
            name = (tag or part.digest) if part is content else part.digest
            _expect(http.put(f"/v2/{repository}/manifests/{name}", content=part.raw, headers={"Content-Type": part.media_type}), 201)
    return content


def pull_raw(registry: object, repository: str, reference: str) -> bytes | None:
    """Return a manifest by tag or digest, or None."""
    status, _, body = request(registry, "GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": ANY_MANIFEST})
    if status not in {200, 404}:
        raise AssertionError(f"{registry}/{repository} does not say whether it has {reference}: {status} {body!r}")
    return body if status == 200 else None


def request(
    registry: object, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """Send one plain HTTP request; return status, headers and body."""
    with PlainClient(str(registry)) as http:
        answer = http.request(method, target, headers=headers, content=body)
    return answer.status_code, answer.headers, answer.content


def plain_client(registry: object) -> httpx.Client:
    """Return an HTTP client for a loopback registry; the caller closes it."""
    # No TLS context for who speaks plain http: making one takes longer than most tests' requests together.
    return httpx.Client(base_url=f"http://{registry}", trust_env=False, timeout=30, verify=False)


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def _entry(child: Image) -> dict[str, object]:
    if child.children:
        return _descriptor(child.media_type, child.raw)
    os, architecture, *variant = child.platform.split("/")
    platform = {"os": os, "architecture": architecture} | ({"variant": variant[0]} if variant else {})
    return _descriptor(child.media_type, child.raw) | {"platform": platform}


def _expect(answer: httpx.Response | PlainAnswer, status: int) -> None:
    if answer.status_code != status:
        raise AssertionError(f"the harness could not push: {answer.status_code} instead of {status}: {answer.text}")


def with_layer(content: Image, **changes: object) -> Image:
    """Return *content* with its first layer's descriptor changed."""
    document = json.loads(content.raw)
    document["layers"][0] |= changes
    return dataclasses.replace(content, raw=to_json(document))


def first_layer(content) -> str:
    return json.loads(content.raw)["layers"][0]["digest"]
