"""Blobs are placed the same way each time, in volumes that are never larger than asked."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.bundle.check_bundle import find_contradiction
from imgsync.bundle.holdings import Holdings
from imgsync.bundle.lay_out import LayoutOptions, lay_out
from imgsync.bundle.model import BundleBlob, BundleImage
from imgsync.bundle.placement import Content, place
from imgsync.bundle.read_content import ReadImage
from imgsync.bundle.tar_format import END, count_header_bytes, count_member_bytes, make_header, make_padding
from imgsync.bundle.volume_layout import lay_out_volumes
from imgsync.errors import UnsupportedContentError, UsageError
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.media_types import OCI_MANIFEST
from imgsync.oci.spec.reference import Reference, Repository
from tests.support.bundles import make_cargo
from tests.support.images import digest_of

_MIB = 1 << 20
_GIB = 1 << 30


def make_image(number: int, sizes: list[int], *, algorithm: str = "sha256", tags: int = 1) -> list[Content]:
    """Return images with one root manifest and blobs of *sizes*."""
    root = digest_of(f"root {number}".encode())
    blobs = [Descriptor("", root, 700), *(Descriptor("", _digest(f"{number} {index}", algorithm), size) for index, size in enumerate(sizes))]
    return [
        Content(
            BundleImage(
                Reference(Repository("source.example", f"app-{number}"), tag=f"t{tag}"),
                Reference(Repository("registry.inside:5000", f"mirror/app-{number}"), tag=f"t{tag}"),
                root,
                OCI_MANIFEST,
                "apps",
                (root,),
            ),
            tuple(blobs),
        )
        for tag in range(tags)
    ]


def _digest(text: str, algorithm: str) -> str:
    return digest_of(text.encode()) if algorithm == "sha256" else f"sha512:{digest_of(text.encode())[7:] * 2}"


sizes = st.lists(st.one_of(st.integers(0, 5000), st.integers(0, 3 * _MIB), st.sampled_from([_MIB, _MIB - 512, 9 * _GIB])), max_size=8)


@pytest.mark.row("BUN-11")
@given(
    st.lists(sizes, min_size=1, max_size=6), st.sampled_from([_MIB, _MIB + 1, 5 * _MIB, 4 * _GIB, 700 * _MIB, None]), st.booleans(), st.sampled_from([1, 900])
)
def test_volumes_are_never_larger_than_asked(images, volume_bytes, is_long, tags):
    """And the placement does not contradict itself, nor depends on the order of the images."""
    limit = None if volume_bytes is not None and volume_bytes < 5 * _MIB and any(size > _GIB for one in images for size in one) else volume_bytes
    contents = [one for number, own in enumerate(images) for one in make_image(number, own, algorithm="sha512" if is_long else "sha256", tags=tags)]

    placement = place(contents, volume_bytes=limit)

    draft = placement.draft
    assert place(contents[::-1], volume_bytes=limit) == placement
    assert limit is None or all(volume.size_bytes <= limit for volume in draft.volumes)
    assert find_contradiction(draft) == ""
    assert all(volume.size_bytes < 4 * _GIB for volume in draft.volumes if limit == 4 * _GIB)
    assert {blob.digest: blob.size_bytes for blob in draft.blobs} == {blob.digest: blob.size_bytes for one in contents for blob in one.blobs}


def test_forty_images_on_one_base_cost_little_more_than_their_blobs():
    """At most 0.5 % and 64 KiB for each volume."""
    base = [80 * _MIB, 30 * _MIB]
    contents = []
    for number in range(40):
        (content,) = make_image(number, [3 * _MIB, 500_000, 2000])
        contents.append(Content(content.image, (*content.blobs, *(Descriptor("", digest_of(str(size).encode()), size) for size in base))))
    unique = sum({blob.digest: blob.size_bytes for content in contents for blob in content.blobs}.values())

    draft = place(contents, volume_bytes=100 * _MIB).draft

    assert draft.size_bytes <= 1.005 * unique + len(draft.volumes) * (64 << 10)
    assert len(draft.volumes) <= -(-unique // (100 * _MIB)) + 1


def test_blob_that_is_larger_than_a_volume_is_cut():
    """At multiples of what a volume holds; only its last part shares a volume."""
    contents = make_image(1, [3 * _MIB])

    draft = place(contents, volume_bytes=_MIB).draft

    (cut,) = [blob for blob in draft.blobs if blob.parts]
    sizes = [part.size_bytes for part in cut.parts]
    assert sum(sizes) == 3 * _MIB
    assert sizes[0] == sizes[1] == sizes[2] > sizes[3]
    assert sizes[0] % 512 == 0
    assert BundleBlob(contents[0].image.digest, 700, 1) in draft.blobs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"volume_bytes": _MIB - 1}, "is too small"),
        ({"name": "../x"}, "cannot be the name of a bundle"),
        ({"name": ""}, "cannot be the name of a bundle"),
        ({"name": "x" * 65}, "cannot be the name of a bundle"),
    ],
)
def test_impossible_volumes_are_refused(arguments, message):
    """Before anything is read."""
    with pytest.raises(UsageError, match=message):
        place(make_cargo(1).contents, **arguments)


@pytest.mark.parametrize("size", [20 * _GIB, (1 << 63) - 1])
def test_too_many_volumes_are_refused(size):
    """Their numbers have at most four digits; a false size is not counted to its end."""
    with pytest.raises(UsageError, match="more than 9,999 volumes"):
        place(make_image(1, [size]), volume_bytes=_MIB)


@pytest.mark.row("BUN-03")
@pytest.mark.parametrize(("limit", "value"), [("LIMIT_BYTES", 20_000), ("VALUE_LIMIT", 300)])
def test_document_that_nobody_could_read_is_refused(monkeypatch, limit, value):
    """Before anything is copied, and what the draft lacks counts."""
    monkeypatch.setattr(f"imgsync.bundle.document.{limit}", value)
    few, many = ([one for number in range(count) for one in make_image(number, [10, 3 * _MIB])] for count in (5, 50))

    place(few, volume_bytes=_MIB)
    with pytest.raises(UsageError, match="would have too many images") as caught:
        place(many, volume_bytes=_MIB)
    assert "--only" in caught.value.hint


def test_blobs_that_only_a_tag_tells_are_said_by_the_inventory():
    """An exported state may have the tag of an image and not its blobs."""
    (content,) = make_image(1, [10])
    root, layer = content.blobs
    held = ReadImage(content.image, content.blobs, (), frozenset({layer.digest}))

    draft = lay_out([held], Holdings(), LayoutOptions(inventory="sha256:" + "1" * 64)).draft

    assert [blob.digest for blob in draft.blobs] == [root.digest]
    assert [(one.digest, one.held_by) for one in draft.expects] == [(layer.digest, "sha256:" + "1" * 64)]


def test_blob_with_two_sizes_is_refused():
    """One of them would damage the volume."""
    (one,) = make_image(1, [10])
    other = Content(one.image, (one.blobs[0], Descriptor("", one.blobs[1].digest, 11)))

    with pytest.raises(UnsupportedContentError, match="two sizes"):
        place([one, other])


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 8 * _GIB - 1, 8 * _GIB, 1 << 40])
@pytest.mark.parametrize("name", ["index.json", "blobs/sha256/" + "a" * 64 + ".part-001", "blobs/sha512/" + "b" * 128])
def test_headers_are_read_by_another_program(name, size):
    """By Python's tarfile: name and size as they were given, and no more."""
    header = make_header(name, size)

    with tarfile.open(fileobj=io.BytesIO(header + END), mode="r:") as archive:
        member = archive.next()

    assert (member.name, member.size, member.mode, member.mtime, member.uid, member.uname) == (name, size, 0o644, 0, 0, "")
    assert member.isreg()
    assert len(header) == count_header_bytes(name, size)
    assert count_member_bytes(name, size) == len(header) + size + len(make_padding(size))


def test_ustar_header_is_that_of_tarfile():
    """Byte for byte, where ustar is enough."""
    info = tarfile.TarInfo("blobs/sha256/" + "c" * 64)
    info.size = 12_345

    assert make_header(info.name, info.size) == info.tobuf(tarfile.USTAR_FORMAT)


def test_layout_of_a_draft_is_final():
    """Offsets do not depend on what is known at the end."""
    draft = place(make_image(1, [3 * _MIB, 10]), volume_bytes=_MIB).draft

    assert [layout.size_bytes for layout in lay_out_volumes(draft)] == [volume.size_bytes for volume in draft.volumes]
