"""
Correct what the first releases of Docker 25 wrote to `index.json`.

Their `docker save` wrote manifests without layers (moby/moby#47065), with sizes that are wrong (moby/moby#47072) and with layers in no order
(moby/moby#47150), and listed no image that has no name (moby/moby#47210). `manifest.json` of the same archive is right.
"""

from __future__ import annotations

from typing import Any

from imgsync.errors import UnsupportedContentError
from imgsync.oci.layout.archive_index import ArchiveIndex, split_blob_name
from imgsync.oci.layout.blob_table import Place
from imgsync.oci.layout.docker_archive import DockerImage, ManifestMaker, read_exactly
from imgsync.oci.layout.index_json import INDEX
from imgsync.oci.layout.tar_members import ReadAt
from imgsync.oci.spec.descriptor import parse_descriptor, parse_descriptors
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.manifest import MANIFEST_LIMIT
from imgsync.oci.spec.media_types import IMAGE_TYPES, OCI_MANIFEST
from imgsync.oci.spec.strict_json import dump_json, parse_object


def mend_index(raw: bytes, images: tuple[DockerImage, ...], maker: ManifestMaker, index: ArchiveIndex, read_at: ReadAt) -> bytes:
    """
    Return `index.json` with the images as `manifest.json` has them.

    This is *raw* itself unless they contradict each other.

    Raises:
        ArchiveFaultError: A member that `manifest.json` names is missing, or not what it should be.
        UnsupportedContentError: *raw* is not an index, or a config is not that of an image.
    """
    document = parse_object(raw, what=INDEX)
    entries = document.get("manifests")
    if not entries:
        return maker.make_index(images)
    if not isinstance(entries, list):
        raise UnsupportedContentError(f"{INDEX} is not an index of images")
    mender = _Mender(images, maker, index, read_at)
    mended = [mender.mend(entry) for entry in entries]
    return raw if mended == entries else dump_json({**document, "manifests": mended})


class _Mender:
    """Replaces descriptors of wrong manifests, each manifest read once."""

    def __init__(self, images: tuple[DockerImage, ...], maker: ManifestMaker, index: ArchiveIndex, read_at: ReadAt) -> None:
        self._images = {split_blob_name(image.config): image for image in images}
        self._maker = maker
        self._index = index
        self._read_at = read_at
        # By place: a thousand links may lead to one member.
        self._wrong: dict[Place, DockerImage | None] = {}

    def mend(self, entry: Any) -> Any:
        """Return *entry*, or one of a manifest that was made."""
        media_type, digest = (str(entry.get(key)) if isinstance(entry, dict) else "" for key in ("mediaType", "digest"))
        if media_type not in IMAGE_TYPES or not is_digest(digest):
            return entry
        place = self._index.find_blob(digest)
        if place is None or place.size_bytes > MANIFEST_LIMIT:
            return entry
        if place not in self._wrong:
            self._wrong[place] = self._find_contradiction(place)
        image = self._wrong[place]
        if image is None:
            return entry
        made = self._maker.make(image)
        return {**entry, "mediaType": OCI_MANIFEST, "digest": made, "size": len(self._maker.manifests[made])}

    def _find_contradiction(self, place: Place) -> DockerImage | None:
        """Return the image of `manifest.json` that a manifest contradicts."""
        try:
            document = parse_object(read_exactly(self._read_at, place))
            config, layers = parse_descriptor(document.get("config")), parse_descriptors(document, "layers")
        except UnsupportedContentError:
            # Who copies it says what is wrong.
            return None
        image = self._images.get(config.digest)
        if image is None or not all(map(split_blob_name, image.layers)):
            return None
        places = [self._index.find_blob(layer.digest) for layer in layers]
        is_same = [layer.digest for layer in layers] == [*map(split_blob_name, image.layers)]
        has_sizes = all(found is None or found.size_bytes == layer.size_bytes for found, layer in zip(places, layers, strict=True))
        return None if is_same and has_sizes else image
