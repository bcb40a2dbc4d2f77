"""Bundles for tests of loading: images with the names that they had and shall have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imgsync.bundle.model import Bundle, BundleImage, BundleReferrer, Expected
from imgsync.bundle.placement import Content, place
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import parse_reference
from tests.support.bundles import write_placement
from tests.support.images import Image


@dataclass(frozen=True, slots=True)
class Attached:
    """A referrer to carry with an image; `tag` if cosign's schema names it."""

    image: Image
    subject: str
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Carried:
    """An image to carry, from `source` to `destination`, both with a tag."""

    image: Image
    source: str
    destination: str
    mirror: str = "apps"
    attached: tuple[Attached, ...] = ()


def carry(
    folder: Path,
    *items: Carried,
    volume_bytes: int | None = None,
    expects: Mapping[str, Expected] | None = None,
    parent: str = "",
    inventory: str = "",
    only_volume: int | None = None,
) -> Bundle:
    """Write a bundle of *items* to *folder*, without the blobs that it *expects*."""
    left_out = dict(expects or {})
    contents, data = [], {}
    for item in items:
        own = {digest: content for part in (item.image, *(one.image for one in item.attached)) for digest, content in (part.all_blobs | part.manifests).items()}
        own = {digest: content for digest, content in own.items() if digest not in left_out}
        data.update(own)
        contents.append(Content(_describe(item), tuple(Descriptor("", digest, len(content)) for digest, content in own.items())))
    placement = place(contents, volume_bytes=volume_bytes, expects=left_out.values(), parent=parent, inventory=inventory)
    folder.mkdir(parents=True, exist_ok=True)
    return write_placement(folder, placement, data, only_volume=only_volume)


def expect(content: bytes, digest: str, *repositories: str, held_by: str) -> dict[str, Expected]:
    """Return a blob that a bundle leaves out."""
    return {digest: Expected(digest, len(content), repositories, held_by)}


def _describe(item: Carried) -> BundleImage:
    referrers = (BundleReferrer(one.subject, one.image.digest, "", one.tag) for one in item.attached)
    return BundleImage(
        parse_reference(item.source),
        parse_reference(item.destination),
        item.image.digest,
        item.image.media_type,
        item.mirror,
        tuple(item.image.manifests),
        tuple(sorted(referrers, key=lambda one: (one.subject, one.digest, one.tag))),
    )
