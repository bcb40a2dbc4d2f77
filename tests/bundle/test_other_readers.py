"""A volume is a plain tar with the members of an OCI layout, which other programs read."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.bundles import make_cargo, read_files, write_bundle
from tests.support.images import DOCKER, image, index
from tests.support.node import running_containerd

NAME = "registry.inside/mirror/app-0:1.0"


def skopeo_program() -> str:
    """Return the program, or skip the test."""
    return shutil.which("skopeo") or pytest.skip("skopeo is not installed")


def test_volume_is_a_plain_tar(tmp_path):
    """Of the blobs, and three members about them; Python's tarfile reads it, and GNU tar."""
    cargo = make_cargo(2)
    bundle = write_bundle(tmp_path, cargo)

    with tarfile.open(tmp_path / bundle.volumes[0].file) as archive:
        found = {member.name: archive.extractfile(member).read() for member in archive}

    blobs = {f"blobs/{digest.replace(':', '/')}": content for digest, content in cargo.data.items()}
    assert list(found)[:3] == ["oci-layout", "index.json", "imgsync-volume.json"]
    assert {name: content for name, content in found.items() if name.startswith("blobs/")} == blobs
    entries = json.loads(found["index.json"])["manifests"]
    assert [entry["digest"] for entry in entries] == [content.image.digest for content in cargo.contents]
    for entry, content in zip(entries, cargo.contents, strict=True):
        name = str(content.image.destination)
        assert entry["annotations"] == {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    listed = subprocess.run(["tar", "tf", tmp_path / bundle.volumes[0].file], capture_output=True, text=True, check=True)
    assert listed.stdout.splitlines() == list(found)
    assert listed.stderr == ""


@pytest.mark.row("BUN-11")
def test_second_creation_is_byte_identical(tmp_path):
    """Whatever the order in which blobs arrive."""
    cargo = make_cargo(6, layer_bytes=300_000)

    write_bundle(tmp_path / "a", cargo, volume_bytes=1 << 20, seed=1)
    write_bundle(tmp_path / "b", cargo, volume_bytes=1 << 20, seed=2)

    assert read_files(tmp_path / "a") == read_files(tmp_path / "b")
    assert len(read_files(tmp_path / "a")) > 3


@pytest.mark.parametrize("make", [image, index])
def test_skopeo_copies_an_image_from_a_volume(tmp_path, make):
    """By its name in `oci-archive:`, with the same digest; an index with all its images."""
    program = skopeo_program()
    cargo = make_cargo(images=[make("one"), image("two")])
    bundle = write_bundle(tmp_path / "media", cargo)
    archive = f"oci-archive:{tmp_path / 'media' / bundle.volumes[0].file}:{NAME}"

    command = [program, "copy", "--all", "--preserve-digests", "--insecure-policy", archive, f"dir:{tmp_path / 'copied'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copied" / "manifest.json").read_bytes() == cargo.data[cargo.contents[0].image.digest]
    for child in cargo.contents[0].blobs:
        assert _find(tmp_path / "copied", child.digest) == cargo.data[child.digest]


def test_skopeo_copies_the_only_image_without_its_name(tmp_path):
    """As from any archive with one image."""
    program = skopeo_program()
    cargo = make_cargo(1)
    bundle = write_bundle(tmp_path / "media", cargo)
    archive = f"oci-archive:{tmp_path / 'media' / bundle.volumes[0].file}"

    done = subprocess.run([program, "copy", "--insecure-policy", archive, f"dir:{tmp_path / 'copied'}"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("content", [image("ctr"), image("ctr docker", kind=DOCKER), index("ctr index")], ids=["OCI", "Docker", "index"])
def test_containerd_imports_a_volume(tmp_path, content):
    """With its names and digests, also of Docker types."""
    cargo = make_cargo(images=[content, image("other")])
    bundle = write_bundle(tmp_path, cargo)
    with running_containerd() as socket:
        command = ["ctr", "--address", str(socket), "image"]
        subprocess.run([*command, "import", "--all-platforms", "--no-unpack", tmp_path / bundle.volumes[0].file], check=True, capture_output=True)
        listed = subprocess.run([*command, "ls"], check=True, capture_output=True, text=True).stdout

    for one in cargo.contents:
        assert f"{one.image.destination} " in listed
        assert one.image.digest in listed


def test_docker_types_are_kept_as_they_are(tmp_path):
    """The manifest in the volume has its bytes and its media type."""
    cargo = make_cargo(images=[image("docker", kind=DOCKER)])
    bundle = write_bundle(tmp_path, cargo)

    with tarfile.open(tmp_path / bundle.volumes[0].file) as archive:
        (entry,) = json.load(archive.extractfile("index.json"))["manifests"]
        raw = archive.extractfile(f"blobs/{entry['digest'].replace(':', '/')}").read()

    assert entry["mediaType"] == DOCKER["manifest"]
    assert raw == cargo.data[cargo.contents[0].image.digest]


def _find(folder: Path, digest: str) -> bytes:
    """Return a blob or a manifest in what skopeo calls `dir:`."""
    encoded = digest.partition(":")[2]
    for path in (folder / encoded, folder / f"{encoded}.manifest.json", folder / "manifest.json"):
        if path.exists() and (path.name != "manifest.json" or len(list(folder.glob(f"{encoded}*"))) == 0):
            return path.read_bytes()
    raise AssertionError(digest)
