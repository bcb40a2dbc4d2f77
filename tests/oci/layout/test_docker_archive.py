"""Archives of `docker save`: one digest whatever version saved the image, all of its content, and its names."""

from __future__ import annotations

import gzip
import json
import random

import pytest

from imgsync.errors import LayoutError
from imgsync.oci.layout import docker_archive
from imgsync.oci.layout.archive import ArchiveFiles
from tests.support.archives import crane, docker_24, docker_25, entries_of, index_member, link, member, pack, read_all, saved, tar
from tests.support.images import OCI, digest_of, to_json

_BASE = saved("base").layers[0]


@pytest.fixture
def open_archive(tmp_path):
    """Return a function that opens an archive of its content."""

    def write(content: bytes) -> ArchiveFiles:
        path = tmp_path / "image.tar"
        path.write_bytes(content)
        return ArchiveFiles(str(path))

    return write


@pytest.mark.parametrize("save", [docker_24, docker_25])
def test_image_has_one_digest_whatever_version_saved_it(save, open_archive):
    """That of the manifest which Docker writes since version 25."""
    images = [saved(1), saved(2, names=["team/app:2", "quay.io/team/app:2"])]

    files = open_archive(save(*images))

    expected = [digest_of(one.manifest) for one in images]
    assert [entry[0] for entry in entries_of(files.read_index())] == [expected[0], expected[1], expected[1]]
    assert [entry[1] for entry in entries_of(files.read_index())] == [
        "docker.io/library/app:1",
        "docker.io/team/app:2",
        "quay.io/team/app:2",
    ] or save is docker_25
    assert read_all(files) == {digest_of(one.manifest): one.manifest for one in images} | {key: blob for one in images for key, blob in one.blobs.items()}


def test_names_are_in_both_annotations(open_archive):
    """As whole names, with `latest` where Docker means it."""
    files = open_archive(docker_24(saved(names=["nginx:1.27", "localhost:5000/app:1", "quay.io/team/app"])))

    names = ["docker.io/library/nginx:1.27", "localhost:5000/app:1", "quay.io/team/app:latest"]
    assert [entry[1:] for entry in entries_of(files.read_index())] == [(name, name) for name in names]


def test_image_without_a_name_is_known_by_its_digest(open_archive):
    """`docker save ID` gives none."""
    one = saved(names=())

    assert entries_of(open_archive(docker_24(one)).read_index()) == [(digest_of(one.manifest), "", "")]


@pytest.mark.row("ARC-01")
def test_link_to_a_layer_of_the_archive_is_resolved(open_archive):
    """Before Docker 25, a layer that two images share is a link in the second one."""
    images = [saved(1, contents=[_BASE]), saved(2, contents=[_BASE, saved(3).layers[0]], names=["app:2"])]
    archive = docker_24(*images)
    assert b"../" in archive

    assert read_all(open_archive(archive)) == {digest_of(one.manifest): one.manifest for one in images} | images[0].blobs | images[1].blobs


def test_compressed_layers_keep_their_bytes(open_archive):
    """crane and Bazel write them; their digests are those of the bytes in the archive."""
    one = saved()
    layers = pack(one)
    expected = one.make_manifest(layers, layer_type="application/vnd.oci.image.layer.v1.tar+gzip")

    files = open_archive(crane(one))

    assert entries_of(files.read_index())[0][0] == digest_of(expected)
    assert read_all(files) == {digest_of(content): content for content in (expected, one.config, *layers)}


def test_layer_named_by_another_digest_than_its_config_has(open_archive):
    """Its digest is that of its bytes, and the image is copied as it is."""
    content = saved(1).layers[0]
    one = saved(contents=[b"what the config names"])
    name = f"{digest_of(content).partition(':')[2]}.tar"
    archive = tar(member(name, content), member("c.json", one.config), member("manifest.json", to_json([{"Config": "c.json", "Layers": [name]}])))

    assert read_all(open_archive(archive))[digest_of(content)] == content


@pytest.mark.parametrize(("head", "name"), [(b"BZh91AY", "bzip2"), (b"\xfd7zXZ\0\0", "xz")])
def test_compression_without_a_media_type_is_an_error(head, name, open_archive):
    """`docker load` reads it, but no image can contain it."""
    one = saved(contents=[head])
    archive = tar(member("l.tar", head), member("c", one.config), member("manifest.json", to_json([{"Config": "c", "Layers": ["l.tar"]}])))

    with pytest.raises(LayoutError, match=rf"the layer 'l.tar' is compressed with {name}"):
        open_archive(archive).read_index()


def test_compressed_layers_are_hashed_within_a_limit(open_archive, monkeypatch):
    """A sparse file of petabytes would be read for days."""
    monkeypatch.setattr(docker_archive, "HASHED_LIMIT_BYTES", 100)

    with pytest.raises(LayoutError, match="the compressed layers have more than"):
        open_archive(crane(saved())).read_index()


def test_archive_gives_the_same_index_each_time(open_archive):
    """And the same bytes, since digests are made of them."""
    archive = docker_24(saved(1), saved(2, names=["b:1", "a:1"]))

    assert open_archive(archive).read_index() == open_archive(archive).read_index()


@pytest.mark.row("ARC-12")
@pytest.mark.parametrize("fault", ["no layers", "another order", "wrong sizes"])
def test_wrong_manifests_of_docker_25_0_are_replaced(fault, open_archive):
    """`manifest.json` has the layers (moby/moby#47065, #47150, #47072)."""
    one, other = saved(1, layers=3), saved(2, names=["other:1"])
    wrong = {
        "no layers": one.make_manifest([]),
        "another order": one.make_manifest(one.layers[::-1]),
        "wrong sizes": one.make_manifest(one.layers, extra_bytes=512),
    }[fault]

    files = open_archive(docker_25(one, other, manifests=[wrong, other.manifest]))

    assert entries_of(files.read_index()) == [
        (digest_of(one.manifest), "docker.io/library/app:1", "1"),
        (digest_of(other.manifest), "docker.io/library/other:1", "1"),
    ]
    assert read_all(files)[digest_of(one.manifest)] == one.manifest


@pytest.mark.row("ARC-12")
@pytest.mark.parametrize("entries", [None, []])
def test_images_that_docker_25_0_does_not_list_are_found(entries, open_archive):
    """`docker save NAME@DIGEST` wrote an empty index (moby/moby#47210)."""
    one = saved(names=())

    assert entries_of(open_archive(docker_25(one, entries=entries)).read_index()) == [(digest_of(one.manifest), "", "")]


def test_right_index_is_given_byte_for_byte(open_archive):
    """With the names and keys that its writer chose."""
    archive = docker_25(saved())

    raw = open_archive(archive).read_index()

    assert raw in archive
    assert json.loads(raw)["mediaType"] == "application/vnd.oci.image.index.v1+json"


@pytest.mark.row("ARC-11")
def test_one_name_for_two_images_is_an_error(open_archive):
    """What would be copied would depend on the order."""
    with pytest.raises(LayoutError, match=r"gives the name 'docker.io/library/app:1' to two images"):
        open_archive(docker_24(saved(1), saved(2))).read_index()


@pytest.mark.row("ARC-11")
def test_false_digest_in_a_config_is_found_by_who_copies(open_archive):
    """The bytes are given unchecked, and do not have the digest that the config claims."""
    one = saved()
    archive = docker_24(one).replace(one.layers[0], random.Random(1).randbytes(len(one.layers[0])))
    files = open_archive(archive)
    claimed = digest_of(one.layers[0])

    assert files.find_blob(claimed) == len(one.layers[0])
    assert digest_of(b"".join(files.read_blob(claimed))) != claimed


def test_archive_of_an_old_docker_is_an_error(open_archive):
    """Before Docker 1.10 there was no `manifest.json`."""
    with pytest.raises(LayoutError, match=r"a Docker before 1.10 wrote the archive"):
        open_archive(tar(member("repositories", b"{}"), member("abc/json", b"{}"), link("abc/layer.tar", "json")))


def test_archive_of_a_container_is_an_error(open_archive):
    """`docker export` writes files, no images."""
    with pytest.raises(LayoutError, match=r"neither index.json nor manifest.json") as caught:
        open_archive(tar(member("etc/hostname", b"x"), member("etc/layer.tar.gz", gzip.compress(b"x"))))

    assert "docker save" in caught.value.hint


@pytest.mark.row("ARC-10")
def test_links_to_one_member_are_read_once(open_archive, monkeypatch):
    """A thousand names of a large config, or of a large layer, cost no more than one."""
    one = saved(contents=[gzip.compress(b"content")])
    links = [part for number in range(200) for part in (link(f"c{number}", "c"), link(f"l{number}", "l"))]
    manifest = [{"Config": f"c{number}", "Layers": [f"l{number}"]} for number in range(200)]
    monkeypatch.setattr(docker_archive, "HASHED_LIMIT_BYTES", len(one.layers[0]))
    parsed = []
    parse = docker_archive._read_diff_ids
    monkeypatch.setattr(docker_archive, "_read_diff_ids", lambda raw, path: parsed.append(path) or parse(raw, path))

    files = open_archive(tar(member("c", one.config), member("l", one.layers[0]), *links, member("manifest.json", to_json(manifest))))

    assert len(entries_of(files.read_index())) == 1
    assert parsed == ["c0"]


@pytest.mark.row("ARC-12")
def test_entries_that_cannot_be_compared_stay(open_archive):
    """Who copies one of them says what is wrong with it."""
    one, other = saved(1), saved(2)
    missing, broken, foreign = (f"sha256:{digit * 64}" for digit in "012")
    entries = [5, {}, {"mediaType": []}, {"mediaType": OCI["manifest"], "digest": "../x", "size": 1}]
    entries += [{"mediaType": OCI["manifest"], "digest": digest, "size": 2} for digest in (missing, broken, foreign)]
    more = {broken: b"{}", foreign: other.manifest}
    files = open_archive(docker_25(one, entries=entries, more=more))

    assert json.loads(files.read_index())["manifests"] == entries


@pytest.mark.row("ARC-12")
def test_manifest_of_layers_elsewhere_stays(open_archive):
    """podman writes layers beside the blobs, which are not compared."""
    one = saved()
    wrong = one.make_manifest([])
    docker = [{"Config": f"blobs/sha256/{digest_of(one.config)[7:]}", "RepoTags": None, "Layers": ["a.tar", "b.tar"]}]
    blobs = [member(f"blobs/sha256/{digest_of(content)[7:]}", content) for content in (wrong, one.config)]
    entries = [{"mediaType": OCI["manifest"], "digest": digest_of(wrong), "size": len(wrong)}]

    files = open_archive(tar(*blobs, index_member(entries), member("manifest.json", to_json(docker))))

    assert json.loads(files.read_index())["manifests"] == entries


@pytest.mark.row("ARC-12")
@pytest.mark.parametrize("entries", [5, {"a": 1}, "x"])
def test_index_without_a_list_is_an_error(entries, open_archive):
    """Nothing can be compared."""
    with pytest.raises(LayoutError, match=r"index.json is not an index of images"):
        open_archive(docker_25(saved(), entries=entries))


@pytest.mark.row("ARC-11")
@pytest.mark.parametrize("rootfs", [None, 5, {"diff_ids": 5}, {"diff_ids": ["x"]}, {"diff_ids": [5]}, {"diff_ids": [None]}])
def test_config_without_digests_of_layers_is_an_error(rootfs, open_archive):
    """They are what the layers are checked by."""
    archive = tar(member("c", to_json({"rootfs": rootfs})), member("l", b"layer"), member("manifest.json", to_json([{"Config": "c", "Layers": ["l"]}])))

    with pytest.raises(LayoutError, match=r"the config 'c' is not the config of an image|1 layers, its config 0"):
        open_archive(archive)
