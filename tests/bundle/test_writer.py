"""Bundles are written at their place, in any order, the same bytes each time."""

from __future__ import annotations

import tarfile

from tests.support.bundles import make_cargo, read_files, write_bundle


def test_second_creation_is_byte_identical(tmp_path):
    """Whatever the order in which blobs arrive."""
    cargo = make_cargo(6, layer_bytes=300_000)

    write_bundle(tmp_path / "a", cargo, volume_bytes=1 << 20, seed=1)
    write_bundle(tmp_path / "b", cargo, volume_bytes=1 << 20, seed=2)

    assert read_files(tmp_path / "a") == read_files(tmp_path / "b")
    assert len(read_files(tmp_path / "a")) > 3


def test_volume_is_a_plain_tar(tmp_path):
    """With the members of an OCI layout."""
    cargo = make_cargo(2)

    write_bundle(tmp_path, cargo)

    with tarfile.open(tmp_path / "imgsync-bundle.001.tar") as archive:
        found = {member.name: archive.extractfile(member).read() for member in archive}
    assert {f"blobs/{digest.replace(':', '/')}": content for digest, content in cargo.data.items()}.items() <= found.items()
    assert set(found) - {f"blobs/{digest.replace(':', '/')}" for digest in cargo.data} == {"oci-layout", "index.json", "imgsync-volume.json"}
