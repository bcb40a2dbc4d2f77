"""Verification finds every changed byte, and names the images that it costs."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from imgsync.bundle.model import DOCUMENT_NAME, Bundle, Expected
from imgsync.bundle.open_bundle import read_document
from imgsync.bundle.placement import place
from imgsync.bundle.verify import Verification, verify_bundle
from imgsync.bundle.verify_alone import verify_volume
from imgsync.bundle.volume_layout import lay_out_volumes
from imgsync.errors import BundleError
from tests.support.bundles import Cargo, make_cargo, write_bundle, write_placement
from tests.support.effort import effort
from tests.support.images import Image, image

_MIB = 1 << 20


@pytest.fixture(scope="module")
def cargo() -> Cargo:
    """Three images on one base, with a layer that is larger than a volume."""
    return make_cargo(3, layer_bytes=700_000, shared_bytes=2_500_000)


def verify(folder: Path) -> Verification:
    """Verify the bundle in *folder*."""
    return verify_bundle([folder], read_document([folder]))


def expected_costs(cargo: Cargo, digest: str) -> set[str]:
    """Return the destinations of images that have the blob *digest*."""
    return {str(one.image.destination) for one in cargo.contents if digest in {blob.digest for blob in one.blobs}}


def digest_at(bundle: Bundle, number: int, offset: int) -> str:
    """Return the blob whose content has the byte at *offset* of a volume, "" if none has."""
    members = lay_out_volumes(bundle)[number - 1].members
    return next((one.digest for one in members if one.data_offset <= offset < one.data_offset + one.size_bytes), "")


def is_intact_alone(path: Path) -> bool:
    """Return whether a volume without its document is found to be intact."""
    try:
        return verify_volume(path).is_intact
    except BundleError:
        return False


def test_intact_bundle_is_verified(tmp_path, cargo):
    """Whole, and each volume alone."""
    bundle = write_bundle(tmp_path, cargo, volume_bytes=_MIB)

    found = verify(tmp_path)

    assert found.is_intact
    assert found.bundle == bundle
    assert len(bundle.volumes) > 4
    assert any(blob.parts for blob in bundle.blobs)
    for number, volume in enumerate(bundle.volumes, 1):
        alone = verify_volume(tmp_path / volume.file)
        assert alone.is_intact, alone.problems
        assert (alone.document.bundle_id, alone.document.number, alone.document.count) == (bundle.id, number, len(bundle.volumes))


@pytest.mark.row("BUN-06")
def test_every_flipped_byte_of_a_volume_is_found(tmp_path, cargo):
    """With exactly the images that need the blob; bytes between blobs cost none."""
    bundle = write_bundle(tmp_path, cargo, volume_bytes=_MIB)
    chosen = random.Random(21)
    headers = {layout.number: [one.offset for one in layout.members] for layout in lay_out_volumes(bundle)}
    for round_ in range(effort(40, 500)):
        number = chosen.randrange(len(bundle.volumes)) + 1
        path = tmp_path / bundle.volumes[number - 1].file
        before = path.read_bytes()
        # Each second one near a header, where little of the volume is.
        near = chosen.choice(headers[number]) + chosen.randrange(700)
        offset = chosen.randrange(len(before)) if round_ % 2 else min(near, len(before) - 1)
        after = bytearray(before)
        after[offset] ^= 1 << chosen.randrange(8)
        path.write_bytes(after)

        found = verify(tmp_path)

        assert [check.file for check in found.volumes if not check.is_intact] == [path.name], (number, offset)
        digest = digest_at(bundle, number, offset)
        assert {str(lost.image.destination) for lost in found.lost} == expected_costs(cargo, digest), (number, offset)
        with_costs = next(check for check in found.volumes if check.file == path.name)
        assert set(with_costs.costs) == expected_costs(cargo, digest)
        assert not is_intact_alone(path), (number, offset)
        path.write_bytes(before)


@pytest.mark.row("BUN-06")
def test_every_flipped_byte_of_the_document_is_found(tmp_path, cargo):
    """Before any volume is read."""
    write_bundle(tmp_path, cargo, volume_bytes=_MIB)
    path = tmp_path / DOCUMENT_NAME
    before = path.read_bytes()
    chosen = random.Random(22)
    for _ in range(effort(200, 2000)):
        after = bytearray(before)
        after[chosen.randrange(len(before))] ^= 1 << chosen.randrange(8)
        path.write_bytes(after)
        with pytest.raises(BundleError):
            read_document([tmp_path])


@pytest.mark.row("BUN-06")
def test_missing_volume_costs_the_images_in_it(tmp_path, cargo):
    """They are named with it; the other volumes are still verified."""
    bundle = write_bundle(tmp_path, cargo, volume_bytes=_MIB)
    gone = bundle.volumes[-1].file
    (tmp_path / gone).unlink()
    held = {blob.digest for blob in bundle.blobs_of_volume(len(bundle.volumes))}

    found = verify(tmp_path)

    assert found.volumes[-1].unusable == "it is missing"
    assert [check.is_intact for check in found.volumes[:-1]] == [True] * (len(bundle.volumes) - 1)
    assert {str(lost.image.destination) for lost in found.lost} == set().union(*(expected_costs(cargo, digest) for digest in held))
    assert all(lost.volumes == (gone,) for lost in found.lost)


@pytest.mark.parametrize("is_held", [True, False])
def test_external_layer_costs_its_image_if_the_bundle_holds_it(tmp_path, is_held):
    """A layer that lies at other addresses may be left out; one that is there must be intact."""
    plain = image("external", layers=1)
    external = Image(plain.raw.replace(b"layer.v1.tar+gzip", b"layer.nondistributable.v1.tar+gzip"), plain.media_type, plain.blobs)
    whole = make_cargo(images=[external])
    digest = max(external.blobs, key=lambda one: len(external.blobs[one]))
    (content,) = whole.contents
    left = tuple(blob for blob in content.blobs if is_held or blob.digest != digest)
    cargo = Cargo((replace(content, blobs=left),), {blob.digest: whole.data[blob.digest] for blob in left})
    bundle = write_bundle(tmp_path, cargo)
    assert verify(tmp_path).is_intact
    if is_held:
        path = tmp_path / bundle.volumes[0].file
        path.write_bytes(path.read_bytes().replace(external.blobs[digest][100:200], bytes(100)))

        assert [str(lost.image.destination) for lost in verify(tmp_path).lost] == cargo.names


def test_image_that_needs_what_is_nowhere_is_lost(tmp_path):
    """The bundle neither holds nor expects a layer; with its digest among what is expected, the image is complete."""
    whole = make_cargo(1)
    (content,) = whole.contents
    absent, *rest = (blob for blob in content.blobs if blob.digest != content.image.digest)
    left = tuple(blob for blob in content.blobs if blob != absent)
    cargo = Cargo((replace(content, blobs=left),), {blob.digest: whole.data[blob.digest] for blob in left})
    assert rest

    write_bundle(tmp_path / "a", cargo)
    (lost,) = verify(tmp_path / "a").lost
    assert lost.reasons == (f"{absent.digest[7:19]}: the bundle neither holds nor expects it",)

    placement = place(cargo.contents, expects=[Expected(absent.digest, absent.size_bytes, ("mirror/app",))])
    write_placement(tmp_path / "b", placement, cargo.data)
    assert verify(tmp_path / "b").is_intact
