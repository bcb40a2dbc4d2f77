"""Archives of images in the forms of Docker, skopeo, crane and layouts, made without imgsync; what imgsync reads of them."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from imgsync.oci.layout.files import LayoutFiles
from tests.support.images import OCI, Image, digest_of, layer, to_json

BLOCK = 512
END = bytes(2 * BLOCK)
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'


def header(name: str | bytes, size: int = 0, *, kind: bytes = b"0", target: str | bytes = "", size_field: bytes = b"", prefix: str = "") -> bytes:
    """Return one header of a tar archive, as Go writes it."""
    fields = [(_raw(name), 100), (b"0000644\0", 8), (b"0000000\0", 8), (b"0000000\0", 8), (size_field or b"%011o\0" % size, 12), (b"00000000000\0", 12)]
    fields += [(b" " * 8, 8), (kind, 1), (_raw(target), 100), (b"ustar\x0000", 8), (b"", 80), (_raw(prefix), 155)]
    block = b"".join(content.ljust(width, b"\0") for content, width in fields).ljust(BLOCK, b"\0")
    assert len(block) == BLOCK
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def member(name: str | bytes, content: bytes = b"", *, kind: bytes = b"0", target: str | bytes = "") -> bytes:
    """Return one member with its content, padded."""
    return header(name, len(content), kind=kind, target=target) + pad(content)


def with_prefix(prefix: str, name: str) -> bytes:
    """Return an empty member whose name is in two fields."""
    return header(name, prefix=prefix)


def folder(name: str) -> bytes:
    """Return a folder."""
    return member(f"{name}/", kind=b"5")


def link(name: str, target: str) -> bytes:
    """Return a symbolic link."""
    return member(name, kind=b"2", target=target)


def pax(records: Mapping[str, str | bytes] | bytes, *, kind: bytes = b"x") -> bytes:
    """Return an extended header with *records*, or with any content."""
    return member("PaxHeaders/1", records if isinstance(records, bytes) else b"".join(_record(*one) for one in records.items()), kind=kind)


def pad(content: bytes) -> bytes:
    """Return *content* filled up to whole blocks."""
    return content + bytes(-len(content) % BLOCK)


def tar(*members: bytes) -> bytes:
    """Return an archive."""
    return b"".join(members) + END


@dataclass(frozen=True)
class Saved:
    """An image as `docker save` knows it: names, config and unpacked layers."""

    names: tuple[str, ...]
    config: bytes
    layers: tuple[bytes, ...]

    @property
    def manifest(self) -> bytes:
        """Return the manifest that Docker writes since version 25."""
        return self.make_manifest(self.layers)

    @property
    def blobs(self) -> dict[str, bytes]:
        """Return config and layers by digest."""
        return {digest_of(content): content for content in (self.config, *self.layers)}

    def make_manifest(self, layers: Sequence[bytes], *, layer_type: str = _LAYER, extra_bytes: int = 0) -> bytes:
        """Return a manifest of *layers*, whose sizes are wrong by *extra_bytes*."""
        described = [{"mediaType": layer_type, "digest": digest_of(one), "size": len(one) + extra_bytes} for one in layers]
        config = {"mediaType": OCI["config"], "digest": digest_of(self.config), "size": len(self.config)}
        return to_json({"schemaVersion": 2, "mediaType": OCI["manifest"], "config": config, "layers": described})


def saved(seed: object = 1, *, names: Sequence[str] = ("app:1",), layers: int = 2, contents: Sequence[bytes] = (), layer_bytes: int = 1024) -> Saved:
    """Return an image of new layers, or of *contents*."""
    unpacked = tuple(contents) or tuple(gzip.decompress(layer((seed, number), layer_bytes)) for number in range(layers))
    rootfs = {"type": "layers", "diff_ids": [digest_of(one) for one in unpacked]}
    config = {"architecture": "amd64", "config": {"Env": ["A=b"], "Labels": {"seed": str(seed)}}, "created": "2026-01-01T00:00:00Z", "os": "linux"}
    return Saved(tuple(names), to_json({**config, "rootfs": rootfs}), unpacked)


def as_image(one: Saved) -> Image:
    """Return *one* with the manifest that Docker writes since version 25."""
    return Image(one.manifest, OCI["manifest"], one.blobs)


def index_member(entries: Sequence[object]) -> bytes:
    """Return the index of a layout."""
    return member("index.json", to_json({"schemaVersion": 2, "manifests": entries}))


def docker_24(*images: Saved) -> bytes:
    """
    Return what `docker save` wrote before Docker 25.

    A layer that was written before is a link to it.
    """
    members: list[tuple[str, bytes]] = []
    manifest, repositories, paths = [], {}, {}
    source = random.Random("docker save")
    for one in images:
        layers = []
        for content in one.layers:
            identity = source.randbytes(32).hex()
            path = f"{identity}/layer.tar"
            known = paths.setdefault(content, path)
            parts = [folder(identity), member(f"{identity}/VERSION", b"1.0"), member(f"{identity}/json", to_json({"id": identity}))]
            members.append((identity, b"".join([*parts, member(path, content) if known == path else link(path, f"../{known}")])))
            layers.append(path)
        config = f"{digest_of(one.config).partition(':')[2]}.json"
        members.append((config, member(config, one.config)))
        manifest.append({"Config": config, "RepoTags": list(one.names) or None, "Layers": layers})
        repositories |= {name.rpartition(":")[0]: {name.rpartition(":")[2]: layers[-1].partition("/")[0]} for name in one.names}
    last = [member("manifest.json", to_json(manifest) + b"\n"), member("repositories", to_json(repositories) + b"\n")]
    return tar(*(content for _, content in sorted(set(members))), *last)


def docker_25(*images: Saved, manifests: Sequence[bytes] = (), entries: object = (), more: Mapping[str, bytes] | None = None) -> bytes:
    """Return what `docker save` writes since Docker 25; *manifests* and *entries* are in place of the right ones, *more* are other blobs."""
    blobs = {digest_of(content): content for one in images for content in one.blobs.values()}
    written = manifests or [one.manifest for one in images]
    blobs |= {digest_of(raw): raw for raw in written} | dict(more or {})
    docker, listed = [], []
    for one, raw in zip(images, written, strict=True):
        layers = [f"blobs/sha256/{digest_of(content).partition(':')[2]}" for content in one.layers]
        docker.append({"Config": f"blobs/sha256/{digest_of(one.config).partition(':')[2]}", "RepoTags": list(one.names) or None, "Layers": layers})
        described = {"mediaType": OCI["manifest"], "digest": digest_of(raw), "size": len(raw)}
        for name in one.names:
            full = f"docker.io/{name}" if "/" in name else f"docker.io/library/{name}"
            tags = {"io.containerd.image.name": full, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
            listed.append({**described, "annotations": tags})
    index = {"schemaVersion": 2, "mediaType": OCI["index"], "manifests": listed if entries == () else entries}
    return tar(
        folder("blobs"),
        folder("blobs/sha256"),
        *(member(f"blobs/{digest.replace(':', '/')}", content) for digest, content in sorted(blobs.items())),
        member("index.json", to_json(index)),
        member("manifest.json", to_json(docker) + b"\n"),
        member("oci-layout", _LAYOUT),
    )


def crane(*images: Saved) -> bytes:
    """Return what `crane pull` and Bazel write: layers compressed, named by their digests."""
    members: dict[str, bytes] = {}
    manifest = []
    for one in images:
        packed = {f"{digest_of(content).partition(':')[2]}.tar.gz": content for content in pack(one)}
        members |= {digest_of(one.config): one.config, **packed}
        manifest.append({"Config": digest_of(one.config), "RepoTags": list(one.names), "Layers": list(packed)})
    return tar(*(member(name, content) for name, content in members.items()), member("manifest.json", to_json(manifest)))


def pack(image: Saved) -> list[bytes]:
    """Return the layers of *image*, compressed."""
    return [gzip.compress(content, mtime=0) for content in image.layers]


def layout_members(image: Image, names: Iterable[str] = ("app:1",)) -> list[bytes]:
    """Return the members of a layout of *image*."""
    blobs = {**image.all_blobs, **image.manifests}
    described = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.raw)}
    annotated = [{**described, "annotations": {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name}} for name in names]
    return [
        member("oci-layout", _LAYOUT),
        index_member(annotated or [described]),
        *(member(f"blobs/{digest.replace(':', '/')}", content) for digest, content in sorted(blobs.items())),
    ]


def entries_of(raw: bytes) -> list[tuple[str, str, str]]:
    """Return digest and both names of each entry of an index."""
    annotations = [(entry["digest"], entry.get("annotations", {})) for entry in json.loads(raw)["manifests"]]
    return [(digest, names.get("io.containerd.image.name", ""), names.get("org.opencontainers.image.ref.name", "")) for digest, names in annotations]


def read_all(files: LayoutFiles) -> dict[str, bytes]:
    """Return every manifest and blob that the index leads to, by digest; each is checked."""
    found: dict[str, bytes] = {}
    waiting = [digest for digest, _, _ in entries_of(files.read_index())]
    while waiting:
        digest = waiting.pop()
        if digest in found:
            continue
        content = found[digest] = b"".join(files.read_blob(digest))
        assert digest_of(content) == digest
        assert files.find_blob(digest) == len(content)
        if not content.startswith(b'{"schemaVersion"') and not content.startswith(b'{\n   "schemaVersion"'):
            continue
        document = json.loads(content)
        described = [*document.get("manifests", []), *document.get("layers", []), *filter(None, [document.get("config")])]
        for one in described:
            assert files.find_blob(one["digest"]) == one["size"], one
        waiting += [one["digest"] for one in described]
    return found


def _record(key: str, value: str | bytes) -> bytes:
    rest = b" " + key.encode() + b"=" + _raw(value) + b"\n"
    length = len(rest) + len(str(len(rest)))
    length += len(str(length)) - len(str(len(rest)))
    return str(length).encode() + rest


def _raw(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
