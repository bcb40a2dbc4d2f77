"""Check that a bundle's document does not contradict itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from imgsync.bundle.model import MAX_VOLUMES, Bundle, BundleBlob, is_volume_name, name_volume
from imgsync.bundle.volume_layout import lay_out_volumes
from imgsync.oci.spec.digest import shorten_digest

_FILE = re.compile(r"(.+)\.[0-9]{3,4}\.tar")


def find_contradiction(bundle: Bundle) -> str:
    """
    Return what in *bundle* contradicts itself, or "".

    After this, every offset that is computed from it lies within its volume, no two blobs overlap, and file names have no folders.
    """
    return next(_list_problems(bundle), "")


def find_name(bundle: Bundle) -> str:
    """Return how the names of its volumes begin; "" without volumes."""
    found = _FILE.fullmatch(bundle.volumes[0].file) if bundle.volumes else None
    return found[1] if found is not None else ""


def _list_problems(bundle: Bundle) -> Iterator[str]:
    # In this order: the layout is only computed of volumes and blobs that fit together.
    yield from _check_volumes(bundle)
    for blob in bundle.blobs:
        yield from _check_blob(blob, len(bundle.volumes))
    yield from _check_digests(bundle)
    yield from _check_images(bundle)
    for layout, volume in zip(lay_out_volumes(bundle), bundle.volumes, strict=True):
        if layout.size_bytes != volume.size_bytes:
            yield f"{volume.file} would have {layout.size_bytes:,} bytes, not {volume.size_bytes:,}"


def _check_volumes(bundle: Bundle) -> Iterator[str]:
    if len(bundle.volumes) > MAX_VOLUMES:
        yield f"it has more than {MAX_VOLUMES:,} volumes"
    name = find_name(bundle)
    for number, volume in enumerate(bundle.volumes, 1):
        if not is_volume_name(name) or volume.file != name_volume(name, number):
            yield f"{volume.file[:100]!a} is not the name of volume {number}"


def _check_blob(blob: BundleBlob, count: int) -> Iterator[str]:
    name = shorten_digest(blob.digest)
    if any(not 1 <= number <= count for number in blob.volumes) or not blob.volumes:
        yield f"the blob {name} lies in a volume that does not exist"
    if blob.parts and (sum(part.size_bytes for part in blob.parts) != blob.size_bytes or not all(part.size_bytes for part in blob.parts)):
        yield f"the parts of the blob {name} do not have its size"


def _check_digests(bundle: Bundle) -> Iterator[str]:
    expected = [one.digest for one in bundle.expects]
    for digest in _find_repeated([*(blob.digest for blob in bundle.blobs), *expected]):
        yield f"the blob {shorten_digest(digest)} is listed twice"
    if expected != sorted(expected):
        yield "`expects` is not sorted"


def _check_images(bundle: Bundle) -> Iterator[str]:
    known = {blob.digest for blob in bundle.blobs} | {one.digest for one in bundle.expects}
    names = [(str(image.destination), str(image.source)) for image in bundle.images]
    if names != sorted(names):
        yield "`images` is not sorted"
    for destination in _find_repeated(one for one, _ in names):
        yield f"two images have the destination {destination}"
    for image in bundle.images:
        if image.digest not in image.manifests[-1:]:
            yield f"the last manifest of {image.destination} is not its root"
        for digest in (*image.manifests, *(one.digest for one in image.referrers)):
            if digest not in known:
                yield f"{image.destination} has a manifest that the bundle neither holds nor expects, {shorten_digest(digest)}"


def _find_repeated(texts: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for text in texts:
        if text in seen:
            yield text
        seen.add(text)
