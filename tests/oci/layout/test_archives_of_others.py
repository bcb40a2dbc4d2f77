"""Archives that Debian's skopeo and containerd write are read whole, and what is made of them is pulled by both."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from imgsync.oci.layout.open_files import open_files
from tests.support.archives import as_image, docker_24, docker_25, entries_of, read_all, saved
from tests.support.images import DOCKER, OCI, Image, digest_of, image, index, push
from tests.support.node import running_containerd
from tests.support.registry_process import RegistryProcess
from tests.support.witness import raw_manifest


def run(*command: str | Path) -> str:
    """Run a program to its end; return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def skopeo(source: str, destination: str, *options: str) -> None:
    """Copy an image with skopeo."""
    run("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", *options, source, destination)


@pytest.fixture
def pushed(registry: RegistryProcess, tmp_path: Path):
    """Return a function that pushes an image, and returns its name."""

    def push_image(content: Image) -> str:
        push(registry, f"archives/{tmp_path.name}", "1", content)
        return f"{registry.host}/archives/{tmp_path.name}:1"

    return push_image


@pytest.mark.parametrize("content", [image("oci"), index("index")], ids=["image", "index"])
def test_oci_archive_of_skopeo_keeps_digests(content, pushed, tmp_path):
    """Every manifest and blob is the one that was pushed."""
    path = tmp_path / "image.tar"
    skopeo(f"docker://{pushed(content)}", f"oci-archive:{path}:quay.io/team/app:1", "--all")

    files = open_files(str(path))

    assert read_all(files) == content.all_blobs | content.manifests
    assert entries_of(files.read_index()) == [(content.digest, "", "quay.io/team/app:1")]


def test_docker_archive_of_skopeo_has_the_digest_of_docker(pushed, tmp_path):
    """The image is that which Docker saves since version 25; the layers are not compressed."""
    one = saved("skopeo", layers=3)
    path = tmp_path / "image.tar"
    skopeo(f"docker://{pushed(as_image(one))}", f"docker-archive:{path}:team/app:1")

    files = open_files(str(path))

    assert read_all(files) == as_image(one).all_blobs | as_image(one).manifests
    assert entries_of(files.read_index()) == [(as_image(one).digest, "docker.io/team/app:1", "docker.io/team/app:1")]


def test_docker_archive_of_an_image_with_false_diff_ids_is_read(pushed, tmp_path):
    """skopeo does not look at them, and names each layer by its real digest."""
    content = image("false")
    path = tmp_path / "image.tar"
    skopeo(f"docker://{pushed(content)}", f"docker-archive:{path}:team/app:1")

    assert len(read_all(open_files(str(path)))) == 4


def test_docker_archive_of_several_images_is_read(pushed, tmp_path):
    """skopeo adds images with the names of all to one archive."""
    one = saved("several")
    path = tmp_path / "image.tar"
    skopeo(f"docker://{pushed(as_image(one))}", f"docker-archive:{path}:team/app:1", "--additional-tag", "team/app:2")

    names = [name for _, name, _ in entries_of(open_files(str(path)).read_index())]
    assert names == ["docker.io/team/app:1", "docker.io/team/app:2"]


@pytest.mark.parametrize("content", [image("ctr"), image("ctr docker", kind=DOCKER), index("ctr index")], ids=["OCI", "Docker", "index"])
def test_export_of_containerd_keeps_digests(content, pushed, tmp_path):
    """`ctr image export` writes index.json and manifest.json; the first one is used as it is."""
    name, path = pushed(content), tmp_path / "image.tar"
    with running_containerd() as socket:
        run("ctr", "--address", socket, "content", "fetch", "--plain-http", "--all-platforms", name)
        run("ctr", "--address", socket, "image", "export", "--all-platforms", path, name)

    files = open_files(str(path))

    assert read_all(files) == content.all_blobs | content.manifests
    assert entries_of(files.read_index()) == [(content.digest, name, "1")]
    assert files.read_index() in path.read_bytes()


def test_image_made_of_an_archive_is_pulled(registry, tmp_path):
    """Debian's registry takes it, skopeo copies it with its digest, and containerd unpacks it."""
    one = saved("pulled")
    path = tmp_path / "image.tar"
    path.write_bytes(docker_24(one))
    found = read_all(open_files(str(path)))
    ((digest, _, _),) = entries_of(open_files(str(path)).read_index())
    blobs = {key: content for key, content in found.items() if key != digest}
    name = f"archives/{tmp_path.name}"
    push(registry, name, "1", Image(found[digest], OCI["manifest"], blobs))

    assert raw_manifest(registry, name, "1") == found[digest]
    skopeo(f"docker://{registry.host}/{name}:1", f"docker://{registry.host}/{name}:2", "--preserve-digests")
    assert registry.digest(name, "2") == digest
    with running_containerd() as socket:
        run("ctr", "--address", socket, "image", "pull", "--plain-http", f"{registry.host}/{name}:1")


@pytest.mark.parametrize("save", [docker_24, docker_25])
def test_forms_of_docker_save_are_those_that_others_read(save, tmp_path):
    """What these tests make is what skopeo and containerd take for `docker save`, with its names."""
    one, other = saved("form", names=["app:1"]), saved("other form", names=["team/app:2"])
    path = tmp_path / "image.tar"
    path.write_bytes(save(one, other))

    skopeo(f"docker-archive:{path}:team/app:2", f"dir:{tmp_path / 'copy'}")
    with running_containerd() as socket:
        run("ctr", "--address", socket, "image", "import", "--no-unpack", path)
        listed = run("ctr", "--address", socket, "image", "ls")

    assert json.loads((tmp_path / "copy" / "manifest.json").read_bytes())["config"]["digest"] == digest_of(other.config)
    assert ("docker.io/library/app:1" in listed, "docker.io/team/app:2" in listed) == (True, True)
    assert save is docker_24 or as_image(one).digest in listed
