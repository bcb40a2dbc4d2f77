"""
Make the image manifests that an archive of `docker save` lacks.

Before Docker 25, `docker save` wrote `manifest.json`, which names a config and layers by path, and no manifest of an image. Tools that write for
`docker load` still do (skopeo, podman, crane, Bazel). The manifests made here are those that Docker writes since: of OCI types, since the types of Docker
have none for a layer that is not compressed (Quay refuses it), with the keys in Docker's order. So an image has one digest, whatever version saved it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from imgsync.errors import InvalidReferenceError, UnsupportedContentError
from imgsync.oci.layout.archive_fault import ArchiveFaultError, show_name
from imgsync.oci.layout.archive_index import DOCKER_MANIFEST, ArchiveIndex, split_blob_name
from imgsync.oci.layout.blob_table import Place
from imgsync.oci.layout.index_json import CONTAINERD_NAME, REF_NAME
from imgsync.oci.layout.tar_members import ReadAt
from imgsync.oci.spec.digest import compute_digest, is_digest
from imgsync.oci.spec.manifest import MANIFEST_LIMIT
from imgsync.oci.spec.media_types import OCI_INDEX, OCI_MANIFEST
from imgsync.oci.spec.reference import parse_reference
from imgsync.oci.spec.strict_json import check_keys, dump_json, parse_array, parse_object
from imgsync.system.dataclass import dataclass

IMAGE_LIMIT = 5_000
LAYER_LIMIT = 1_000
DOCKER_MANIFEST_LIMIT_BYTES = 8 << 20
# Of compressed layers, whose digests are nowhere in the archive, so that each is read once more.
HASHED_LIMIT_BYTES = 64 << 30
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
_COMPRESSIONS = {b"\x1f\x8b\x08": "+gzip", b"\x28\xb5\x2f\xfd": "+zstd"}
# `docker load` reads them, but no media type names them.
_NAMELESS = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_MAGIC_BYTES = 6
_DIGEST_NAME = re.compile(r"([0-9a-f]{64})\.tar")
_KEYS = frozenset({"Config", "RepoTags", "Layers", "Parent", "LayerSources"})
_PIECE_BYTES = 1 << 20
_AGAIN = "load it into Docker, and save it with Docker 25 or later"


@dataclass(frozen=True, slots=True)
class DockerImage:
    """One image of `manifest.json`: names, and paths of config and layers."""

    names: tuple[str, ...]
    config: str
    layers: tuple[str, ...]


def read_docker_images(raw: bytes) -> tuple[DockerImage, ...]:
    """
    Parse `manifest.json`.

    Raises:
        ArchiveFaultError: It has too many images or layers, or one name twice.
        UnsupportedContentError: It is not what `docker save` writes.
    """
    if raw.lstrip().startswith(b"{"):
        raise ArchiveFaultError(f"{DOCKER_MANIFEST} is not a JSON array, as in a `dir:` folder of skopeo", hint="skopeo copy dir:FOLDER oci-archive:image.tar")
    entries = parse_array(raw, what=DOCKER_MANIFEST)
    if len(entries) > IMAGE_LIMIT:
        raise ArchiveFaultError(f"{DOCKER_MANIFEST} lists {len(entries):,} images; the limit is {IMAGE_LIMIT:,}", hint="save fewer images at once")
    images = tuple(map(_read_image, entries))
    seen: set[str] = set()
    for image in images:
        if not seen.isdisjoint(image.names):
            twice = min(seen.intersection(image.names))
            raise ArchiveFaultError(f"{DOCKER_MANIFEST} gives the name {show_name(twice)} to two images", hint=_AGAIN)
        seen.update(image.names)
    return images


def _read_image(entry: object) -> DockerImage:
    if not isinstance(entry, dict):
        raise ArchiveFaultError(f"{DOCKER_MANIFEST} is not what `docker save` writes", hint=_AGAIN)
    check_keys(entry, _KEYS)
    config, layers, names = entry.get("Config"), entry.get("Layers") or [], entry.get("RepoTags") or []
    if not isinstance(config, str) or not isinstance(layers, list) or not isinstance(names, list) or not all(isinstance(one, str) for one in (*layers, *names)):
        raise ArchiveFaultError(f"{DOCKER_MANIFEST} is not what `docker save` writes", hint=_AGAIN)
    if len(layers) > LAYER_LIMIT:
        raise ArchiveFaultError(f"an image of {DOCKER_MANIFEST} has {len(layers):,} layers; the limit is {LAYER_LIMIT:,}", hint=_AGAIN)
    return DockerImage(tuple(dict.fromkeys(filter(None, map(_complete_name, names)))), config, tuple(layers))


def _complete_name(name: str) -> str:
    """Return the whole name that Docker shortens; "" of a digest."""
    try:
        reference = parse_reference(name)
    except InvalidReferenceError as error:
        raise ArchiveFaultError(
            f"{DOCKER_MANIFEST} names an image {show_name(name)}: {error.message}", hint="give it another name, and save it again"
        ) from error
    return "" if reference.digest and not reference.tag else str(reference.repository.with_tag(reference.tag or "latest"))


class ManifestMaker:
    """Makes manifests of images, each config and layer read once."""

    def __init__(self, index: ArchiveIndex, read_at: ReadAt) -> None:
        """Make them of the members in *index*."""
        self._index = index
        self._read_at = read_at
        # By place: a thousand links may lead to one member.
        self._configs: dict[Place, tuple[str, tuple[str, ...]]] = {}
        self._layers: dict[tuple[str, str], tuple[str, str, Place]] = {}
        self._hashes: dict[Place, str] = {}
        self._hashed_bytes = 0
        self.manifests: dict[str, bytes] = {}
        """Manifests that were made, by digest."""
        self.places: dict[str, Place] = {}
        """Where their configs and layers are, by digest."""

    def make_index(self, images: Iterable[DockerImage]) -> bytes:
        """
        Return an index of *images*, with an entry for each name.

        Raises:
            ArchiveFaultError: A member is missing, or not what it should be.
            UnsupportedContentError: A config is not that of an image.
        """
        entries: dict[tuple[str, str], dict[str, Any]] = {}
        for image in images:
            digest = self.make(image)
            entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(self.manifests[digest])}
            entries |= {(digest, name): {**entry, "annotations": {CONTAINERD_NAME: name, REF_NAME: name}} for name in image.names} or {(digest, ""): entry}
        return dump_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries.values())})

    def make(self, image: DockerImage) -> str:
        """
        Make the manifest of *image*; return its digest.

        Raises:
            ArchiveFaultError: A member is missing, or not what it should be.
            UnsupportedContentError: The config is not that of an image.
        """
        config = self._find(image.config)
        config_digest, diff_ids = self._read_config(image.config, config)
        if len(diff_ids) != len(image.layers):
            raise ArchiveFaultError(f"{DOCKER_MANIFEST} gives the image {show_name(image.config)} {len(image.layers)} layers, its config {len(diff_ids)}")
        layers = [self._describe_layer(path, diff_id) for path, diff_id in zip(image.layers, diff_ids, strict=True)]
        # The order of the keys is that of Docker, which makes the digest.
        manifest = dump_json(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": {"mediaType": _CONFIG_TYPE, "digest": config_digest, "size": config.size_bytes},
                "layers": [{"mediaType": media_type, "digest": digest, "size": place.size_bytes} for digest, media_type, place in layers],
            }
        )
        digest = compute_digest(manifest)
        self.manifests[digest] = manifest
        self.places |= {config_digest: config} | {layer: place for layer, _, place in layers}
        return digest

    def _read_config(self, path: str, place: Place) -> tuple[str, tuple[str, ...]]:
        """Return the digest of a config, and those of its layers unpacked."""
        known = self._configs.get(place)
        if known is None:
            if place.size_bytes > MANIFEST_LIMIT:
                raise ArchiveFaultError(f"the config {show_name(path)} has {place.size_bytes:,} bytes; the limit is {MANIFEST_LIMIT >> 20} MiB")
            raw = read_exactly(self._read_at, place)
            known = self._configs[place] = (compute_digest(raw), _read_diff_ids(raw, path))
        return known

    def _describe_layer(self, path: str, diff_id: str) -> tuple[str, str, Place]:
        """Return digest, media type and place of a layer."""
        known = self._layers.get((path, diff_id))
        if known is None:
            place = self._find(path)
            suffix = _find_compression(self._read_at(min(_MAGIC_BYTES, place.size_bytes), place.offset), path)
            # Who copies the layer checks its digest, so what the archive says saves reading each layer twice.
            digest = split_blob_name(path) or (self._hash(place, path) if suffix or _has_other_digest(path, diff_id) else diff_id)
            known = self._layers[path, diff_id] = (digest, f"{_LAYER_TYPE}{suffix}", place)
        return known

    def _find(self, path: str) -> Place:
        place = self._index.find_file(path)
        if place is None:
            raise ArchiveFaultError(f"{DOCKER_MANIFEST} names {show_name(path)}, which is not in the archive", hint="copy or download the archive again")
        return place

    def _hash(self, place: Place, path: str) -> str:
        known = self._hashes.get(place)
        if known is None:
            self._hashed_bytes += place.size_bytes
            if self._hashed_bytes > HASHED_LIMIT_BYTES:
                raise ArchiveFaultError(f"up to {show_name(path)}, the compressed layers have more than {HASHED_LIMIT_BYTES >> 30} GiB", hint=_AGAIN)
            hasher = hashlib.sha256()
            for piece in read_pieces(self._read_at, place):
                hasher.update(piece)
            known = self._hashes[place] = f"sha256:{hasher.hexdigest()}"
        return known


def read_exactly(read_at: ReadAt, place: Place) -> bytes:
    """Return the whole content of a member, which the caller bounds."""
    return b"".join(read_pieces(read_at, place))


def read_pieces(read_at: ReadAt, place: Place, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """
    Yield the content of a member from *start* to before *end*.

    Raises:
        ArchiveFaultError: The archive has become shorter.
    """
    offset, last = place.offset + start, place.offset + (place.size_bytes if end is None else min(end, place.size_bytes))
    while offset < last:
        piece = read_at(min(_PIECE_BYTES, last - offset), offset)
        if not piece:
            raise ArchiveFaultError("the archive became shorter while it was read", hint="run it again when nothing writes to the archive")
        offset += len(piece)
        yield piece


def _read_diff_ids(raw: bytes, path: str) -> tuple[str, ...]:
    rootfs = parse_object(raw, what=f"config {show_name(path)}").get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    found = tuple(one for one in diff_ids or () if isinstance(one, str) and is_digest(one)) if isinstance(diff_ids, list | None) else None
    if found is None or len(found) != len(diff_ids or ()):
        raise UnsupportedContentError(f"the config {show_name(path)} is not the config of an image")
    return found


def _has_other_digest(path: str, diff_id: str) -> bool:
    """Return whether a layer is named by another digest than *diff_id*."""
    found = _DIGEST_NAME.fullmatch(path)
    return found is not None and f"sha256:{found[1]}" != diff_id


def _find_compression(head: bytes, path: str) -> str:
    for magic, name in _NAMELESS.items():
        if head.startswith(magic):
            raise ArchiveFaultError(f"the layer {show_name(path)} is compressed with {name}, for which images have no media type", hint=_AGAIN)
    return next((suffix for magic, suffix in _COMPRESSIONS.items() if head.startswith(magic)), "")
