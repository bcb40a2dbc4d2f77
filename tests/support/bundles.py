"""Bundles of images, written without a registry."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgsync.bundle.model import Bundle, BundleImage
from imgsync.bundle.placement import Content, Placement, place
from imgsync.bundle.writer import BundleWriter
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Reference, Repository
from tests.support.images import Image, image, layer


@dataclass(frozen=True, slots=True)
class Cargo:
    """What goes into a bundle: contents to place, and bytes by digest."""

    contents: tuple[Content, ...]
    data: Mapping[str, bytes]

    @property
    def names(self) -> list[str]:
        """Return the destination of each image, sorted."""
        return sorted(str(content.image.destination) for content in self.contents)

    @property
    def unique_bytes(self) -> int:
        """Return the size of all content, each blob once."""
        return sum(map(len, self.data.values()))


def make_cargo(count: int = 3, *, layers: int = 2, layer_bytes: int = 2000, shared_bytes: int = 3000, images: Sequence[Image] = ()) -> Cargo:
    """Return *count* images on one base, or *images*."""
    base = layer("base", shared_bytes)
    made = list(images) or [image(f"app-{number}", layers, shared=base, layer_bytes=layer_bytes) for number in range(count)]
    contents, data = [], {}
    for number, one in enumerate(made):
        own = {**one.all_blobs, **one.manifests}
        data.update(own)
        contents.append(Content(describe(one, f"app-{number}"), tuple(Descriptor("", digest, len(content)) for digest, content in own.items())))
    return Cargo(tuple(contents), data)


def describe(one: Image, name: str) -> BundleImage:
    """Return *one* as an image of a bundle."""
    return BundleImage(
        Reference(Repository("source.example", name), tag="1.0"),
        Reference(Repository("registry.inside", f"mirror/{name}"), tag="1.0"),
        one.digest,
        one.media_type,
        "apps",
        tuple(one.manifests),
    )


def write_bundle(folder: Path, cargo: Cargo, *, volume_bytes: int | None = None, seed: int = 0, only_volume: int | None = None) -> Bundle:
    """Write *cargo* to *folder*, its blobs in an order given by *seed*."""
    return write_placement(folder, place(cargo.contents, volume_bytes=volume_bytes), cargo.data, seed=seed, only_volume=only_volume)


def write_placement(folder: Path, placement: Placement, data: Mapping[str, bytes], *, seed: int = 0, only_volume: int | None = None) -> Bundle:
    """Write the bundle of *placement*, its blobs in an order given by *seed*."""
    with BundleWriter(folder, placement, only_volume=only_volume) as writer:
        order = [digest for digest in data if writer.is_placed(digest) and not writer.has(digest)]
        random.Random(seed).shuffle(order)
        for digest in order:
            write_blob(writer, data[digest], digest)
        return writer.finish()


def write_blob(writer: BundleWriter, content: bytes, digest: str, *, chunk_bytes: int = 700) -> None:
    """Write one blob in small chunks, at most a thousand."""
    chunk_bytes = max(chunk_bytes, len(content) // 1000)
    sink = writer.begin(Descriptor("", digest, len(content)))
    for start in range(0, len(content), chunk_bytes):
        sink.write(content[start : start + chunk_bytes])
    sink.commit()


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the bytes of each file in *folder*, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
