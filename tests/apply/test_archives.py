"""Archives of images are copied to a registry, where skopeo and containerd find what was in them."""

from __future__ import annotations

import os
import random
import subprocess

import pytest

from imgsync.oci.layout.index_json import parse_index
from imgsync.oci.layout.open_files import open_files
from tests.support.archives import BLOCK, as_image, crane, docker_24, docker_25, header, index_member, layout_members, pack, saved, tar
from tests.support.bundles import make_cargo, write_bundle
from tests.support.images import DOCKER, OCI, Image, artifact, digest_of, image, index, push
from tests.support.node import running_containerd


@pytest.fixture
def copy(lab):
    """Return a function that writes an archive, and copies its image to m/NAME/app:1."""
    lab.declare("app")

    def run(archive: bytes, name: str = "", **options):
        (lab.folder / "image.tar").write_bytes(archive)
        return lab.run("copy", f"oci-layout:./image.tar{name}", f"{lab.destination.host}/m/{lab.name}/app:1", **options)

    return run


@pytest.mark.parametrize(
    "content",
    [image("a"), image("b", kind=DOCKER), index("c"), index("d", kind=DOCKER), index("e", nested=True)],
    ids=["OCI", "Docker", "index", "Docker list", "nested index"],
)
def test_layout_in_an_archive_is_copied_byte_for_byte(content, copy, lab):
    """Of every type."""
    done = copy(tar(*layout_members(content)))

    assert done.code == 0, done.stderr
    lab.assert_served("app", "1", content)


@pytest.mark.parametrize("save", [docker_24, docker_25])
def test_image_of_docker_save_is_copied(save, copy, lab):
    """It has one digest, whatever version saved it, and containerd unpacks it."""
    one = saved("copied", layers=3)

    done = copy(save(one))

    assert done.code == 0, done.stderr
    lab.assert_served("app", "1", as_image(one))
    with running_containerd() as socket:
        pull = ["ctr", "--address", str(socket), "image", "pull", "--plain-http", f"{lab.destination_registry.host}/m/{lab.name}/app:1"]
        pulled = subprocess.run(pull, capture_output=True, text=True, timeout=60, check=False, env={"PATH": os.environ["PATH"]})
    assert pulled.returncode == 0, pulled.stderr


def test_wrong_index_of_docker_25_0_is_not_copied(copy, lab):
    """What is copied has the layers."""
    one = saved("mended")

    assert copy(docker_25(one, manifests=[one.make_manifest([])])).code == 0

    lab.assert_served("app", "1", as_image(one))


def test_archive_of_crane_is_copied_with_its_compressed_layers(copy, lab):
    """Their bytes are those in the archive."""
    one = saved("crane")
    layers = pack(one)
    manifest = one.make_manifest(layers, layer_type=OCI["layer"])

    assert copy(crane(one)).code == 0

    lab.assert_served("app", "1", Image(manifest, OCI["manifest"], {digest_of(content): content for content in (one.config, *layers)}))


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_archive_of_skopeo_is_copied(transport, copy, lab):
    """Debian's skopeo writes it from a registry."""
    one = saved(transport)
    content = as_image(one) if transport == "docker-archive" else image(transport)
    push(lab.source_registry, f"{lab.name}/app", "1", content)
    path = lab.folder / "skopeo.tar"
    command = [
        "skopeo",
        "--insecure-policy",
        "copy",
        "--src-tls-verify=false",
        f"docker://{lab.source_registry.host}/{lab.name}/app:1",
        f"{transport}:{path}:app:1",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)

    done = copy(path.read_bytes())

    assert done.code == 0, done.stderr
    lab.assert_served("app", "1", content)


def test_one_of_several_images_is_copied_by_its_name(copy, lab):
    """The whole name of Docker is its path and tag."""
    one, other = saved(1, names=["app:1"]), saved(2, names=["team/other:2", "quay.io/team/other:3"])
    archive = docker_24(one, other)

    done = copy(archive, ":quay.io/team/other:3")

    assert done.code == 0, done.stderr
    lab.assert_served("app", "1", as_image(other))


def test_only_image_needs_no_name(copy, lab):
    """Also where its name has a port, or it has none."""
    for names in (["localhost:5000/app:1"], []):
        one = saved(str(names), names=names)

        done = copy(docker_24(one))

        assert done.code == 0, done.stderr
        lab.assert_served("app", "1", as_image(one))


def test_image_that_has_no_usable_name_is_copied_by_digest(copy, lab):
    """The error about several of them shows their digests."""
    images = [saved(number, names=[f"localhost:5000/app-{number}:1"]) for number in range(2)]
    digests = [as_image(one).digest for one in images]

    several = copy(docker_24(*images))
    done = copy(docker_24(*images), f"@{digests[1]}")

    assert several.code == 3
    assert all(digest in several.stderr for digest in digests)
    assert done.code == 0, done.stderr
    lab.assert_served("app", "1", as_image(images[1]))


def test_archive_is_a_source_of_mirrors(lab):
    """Declared by name in registries.yaml; the second run has nothing to do."""
    one, other = saved(1, names=["team/app:1"]), saved(2, names=["team/app:2"])
    (lab.folder / "image.tar").write_bytes(docker_24(one, other))
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.destination.host}: {{tls: false}}\nlayouts:\n  usb: {{path: image.tar}}\n")
    source = "oci-layout:usb/docker.io/team/app"
    destination = f"{{registry: '{lab.destination.host}', repository: 'm/{lab.name}/app'}}"
    lab.write("mirrors.d/a.yaml", f"version: 1\nmirrors:\n  - name: a\n    source: {source}\n    destinations: [{destination}]\n")

    first, second = lab.run("apply", "--yes"), lab.run("apply", "--yes", "-o", "json")

    assert (first.code, second.code) == (0, 0), first.stderr + second.stderr
    assert second.json["summary"]["kept"] == 2
    lab.assert_served("app", "1", as_image(one))
    lab.assert_served("app", "2", as_image(other))


def test_archive_is_no_destination(lab):
    """It is only read, and stays as it is."""
    lab.declare("app")
    lab.push("app", "1", image(1))
    archive = tar(*layout_members(image(2)))
    (lab.folder / "image.tar").write_bytes(archive)

    done = lab.run("copy", f"{lab.source.host}/{lab.name}/app:1", "oci-layout:./image.tar")

    assert done.code == 1
    assert "is an archive, which imgsync only reads" in done.stderr
    assert (lab.folder / "image.tar").read_bytes() == archive


@pytest.mark.row("ARC-08")
@pytest.mark.parametrize("part", [0, 1, 2, 3], ids=["layer", "another layer", "config", "manifest"])
def test_changed_byte_of_an_archive_is_found(part, copy, lab):
    """Nothing that is wrong gets a tag."""
    content = image(("changed", part))
    archive = bytearray(tar(*layout_members(content)))
    digest, blob = [*content.all_blobs.items(), *content.manifests.items()][part]
    source = random.Random(part)
    place = archive.index(header(f"blobs/{digest.replace(':', '/')}", len(blob))[:100]) + BLOCK + source.randrange(len(blob))
    archive[place] ^= 1 << source.randrange(8)

    done = copy(bytes(archive))

    assert done.code == 1
    assert lab.served_digest("app", "1") is None


@pytest.mark.row("ARC-11")
def test_layer_without_the_digest_of_its_config_is_not_copied(copy, lab):
    """The config of an old archive is believed until the bytes are there."""
    one = saved("false layer")
    archive = docker_24(one).replace(one.layers[1], random.Random(1).randbytes(len(one.layers[1])))

    done = copy(archive)

    assert done.code == 1
    assert "expected sha256:" in done.stderr
    assert lab.served_digest("app", "1") is None


def test_referrers_in_an_archive_are_copied(copy, lab):
    """They are manifests with a subject in the index."""
    content = image("subject")
    bill = artifact("bill", subject=content)
    members = layout_members(content)
    both = layout_members(index(children=(content, bill)), names=())
    entries = [{"mediaType": one.media_type, "digest": one.digest, "size": len(one.raw)} for one in (content, bill)]
    entries[0]["annotations"] = {"org.opencontainers.image.ref.name": "app:1"}
    archive = tar(members[0], index_member(entries), *both[2:])

    done = copy(archive)

    assert done.code == 0, done.stderr
    lab.assert_served("app", "1", content)
    assert lab.served_manifest("app", bill.digest) == bill.raw


def test_bundle_of_one_volume_is_copied(copy, lab):
    """Each image under the name of its destination."""
    cargo = make_cargo(3)
    bundle = write_bundle(lab.folder / "bundle", cargo)

    done = copy((lab.folder / "bundle" / bundle.volumes[0].file).read_bytes(), ":registry.inside/mirror/app-1:1.0")

    assert done.code == 0, done.stderr
    assert lab.served_digest("app", "1") == cargo.contents[1].image.digest


def test_volume_of_a_bundle_is_read_alone(tmp_path):
    """Whole blobs are found in their volume, and parts of blobs are no blobs."""
    cargo = make_cargo(4, layer_bytes=700_000, shared_bytes=2_500_000)
    bundle = write_bundle(tmp_path, cargo, volume_bytes=1 << 20)
    found = {}
    for volume in bundle.volumes:
        files = open_files(str(tmp_path / volume.file))
        found |= {digest: b"".join(files.read_blob(digest)) for digest in cargo.data if files.find_blob(digest) is not None}
        assert parse_index(files.read_index(), where="a volume")
        files.close()

    assert len(bundle.volumes) > 3
    assert found == {blob.digest: cargo.data[blob.digest] for blob in bundle.blobs if not blob.parts}
    assert len(found) < len(cargo.data)
