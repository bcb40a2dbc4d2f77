"""
Compute where each byte of a volume lies, from the document alone.

A volume is a tar whose members make an OCI layout: `oci-layout`, `index.json`, `imgsync-volume.json`, then blobs and parts of blobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from imgsync.bundle.canonical_json import dump_canonical
from imgsync.bundle.model import VOLUME_FORMAT, Bundle, BundleBlob, BundleImage
from imgsync.bundle.tar_format import END, count_header_bytes, count_member_bytes, make_header, make_padding
from imgsync.oci.spec.digest import compute_digest
from imgsync.oci.spec.media_types import OCI_INDEX
from imgsync.system.dataclass import dataclass

LAYOUT_MEMBER = "oci-layout"
INDEX_MEMBER = "index.json"
VOLUME_MEMBER = "imgsync-volume.json"
LAYOUT_CONTENT = b'{"imageLayoutVersion":"1.0.0"}'
NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
# What stands for an id or a digest that is not known yet; it is as long.
UNKNOWN = f"sha256:{'0' * 64}"
_PART = ".part-"


@dataclass(frozen=True, slots=True)
class Member:
    """
    A member of a volume.

    `offset` is that of its header. `content` is None for a blob or a part; then `digest` is that of the whole blob, `start` is where in the
    blob the member begins, and `part_digest` is that of a part alone, "" for a whole blob and in a draft.
    """

    name: str
    offset: int
    size_bytes: int
    content: bytes | None = None
    digest: str = ""
    start: int = 0
    part_digest: str = ""

    @property
    def is_part(self) -> bool:
        """Return whether it is a part of a blob."""
        return _PART in self.name

    @property
    def own_digest(self) -> str:
        """Return the digest of its bytes."""
        return self.part_digest or self.digest

    @property
    def data_offset(self) -> int:
        """Return where its bytes begin."""
        return self.offset + count_header_bytes(self.name, self.size_bytes)

    @property
    def padding_offset(self) -> int:
        """Return where its bytes end, and its padding begins."""
        return self.data_offset + self.size_bytes

    @property
    def end(self) -> int:
        """Return where the next member begins."""
        return self.offset + count_member_bytes(self.name, self.size_bytes)

    @property
    def header(self) -> bytes:
        """Return the bytes before its content."""
        return make_header(self.name, self.size_bytes)

    @property
    def padding(self) -> bytes:
        """Return the zeros after its content."""
        return make_padding(self.size_bytes)


@dataclass(frozen=True, slots=True)
class VolumeLayout:
    """The members of volume `number`, in order, and its exact size."""

    number: int
    members: tuple[Member, ...]

    @property
    def size_bytes(self) -> int:
        """Return the size of the volume."""
        return self.members[-1].end + len(END)


def lay_out_volumes(bundle: Bundle) -> tuple[VolumeLayout, ...]:
    """
    Return the layout of each volume of *bundle*.

    Of a draft, the offsets and sizes are final, and the content of `imgsync-volume.json` is not.
    """
    blobs: dict[int, list[Member]] = {}
    entries: dict[int, list[bytes]] = {}
    part_digests: dict[int, dict[str, str]] = {}
    roots = group_roots(bundle.images)
    for blob in bundle.blobs:
        for number, member in _list_members(blob):
            blobs.setdefault(number, []).append(member)
            if blob.parts:
                part_digests.setdefault(number, {})[member.name] = member.part_digest or UNKNOWN
        if blob.volume and blob.digest in roots:
            entries.setdefault(blob.volume, []).extend(make_entry(image, blob.size_bytes) for image in roots[blob.digest])
    made = []
    for number in range(1, len(bundle.volumes) + 1):
        index = make_index(entries.get(number, ()))
        about = make_volume_document(bundle.id, number, len(bundle.volumes), index, part_digests.get(number, {}))
        made.append(VolumeLayout(number, tuple(_put_in_order(index, about, blobs.get(number, ())))))
    return tuple(made)


def group_roots(images: Iterable[BundleImage]) -> dict[str, list[BundleImage]]:
    """Return the images by the digest of their root manifest."""
    roots: dict[str, list[BundleImage]] = {}
    for image in images:
        roots.setdefault(image.digest, []).append(image)
    return roots


def make_entry(image: BundleImage, size_bytes: int) -> bytes:
    """Return the entry of an image for `index.json`."""
    entry: dict[str, object] = {"mediaType": image.media_type, "digest": image.digest, "size": size_bytes}
    if image.destination.tag:
        name = f"{image.destination.repository}:{image.destination.tag}"
        entry["annotations"] = dict.fromkeys(NAME_ANNOTATIONS, name)
    return dump_canonical(entry)


def make_index(entries: Iterable[bytes]) -> bytes:
    """Return `index.json` with *entries*."""
    return b'{"manifests":[%b],"mediaType":"%b","schemaVersion":2}' % (b",".join(entries), OCI_INDEX.encode())


def make_volume_document(bundle_id: str, number: int, count: int, index: bytes, parts: Mapping[str, str]) -> bytes:
    """
    Return `imgsync-volume.json`.

    Its length depends on the numbers and the names of *parts* only. It has the digest of `index.json` and of itself without this field, so
    that the volume can be checked alone.
    """
    return make_canonical_volume_document(bundle_id or UNKNOWN, number, count, compute_digest(index), parts)


def make_canonical_volume_document(bundle_id: str, number: int, count: int, index_digest: str, parts: Mapping[str, str]) -> bytes:
    """Return `imgsync-volume.json` with the digest *index_digest* of `index.json`."""
    document: dict[str, object] = {
        "bundle": bundle_id,
        "format": VOLUME_FORMAT,
        "index": index_digest,
        "number": number,
        "of": count,
        "parts": dict(parts),
    }
    return dump_canonical({**document, "id": compute_digest(dump_canonical(document))})


def name_member(digest: str, part: int = 0) -> str:
    """Return the member name of a blob, or of its part."""
    name = f"blobs/{digest.replace(':', '/')}"
    return f"{name}{_PART}{part:03}" if part else name


def _list_members(blob: BundleBlob) -> Iterator[tuple[int, Member]]:
    """Yield the volume and the member of each part, without its place."""
    if blob.volume:
        yield blob.volume, Member(name_member(blob.digest), 0, blob.size_bytes, None, blob.digest)
    start = 0
    for number, part in enumerate(blob.parts, 1):
        yield part.volume, Member(name_member(blob.digest, number), 0, part.size_bytes, None, blob.digest, start, part.digest)
        start += part.size_bytes


def _put_in_order(index: bytes, about: bytes, blobs: Iterable[Member]) -> Iterator[Member]:
    own = ((LAYOUT_MEMBER, LAYOUT_CONTENT), (INDEX_MEMBER, index), (VOLUME_MEMBER, about))
    offset = 0
    for member in (*(Member(name, 0, len(content), content) for name, content in own), *blobs):
        placed = Member(member.name, offset, member.size_bytes, member.content, member.digest, member.start, member.part_digest)
        yield placed
        offset = placed.end
