"""Layouts in the forms of other programs are read whole."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from imgsync.oci.spec.reference import parse_reference
from tests.oci.layout.stores import blob, opened, repository
from tests.support.images import DOCKER, OCI, Image, artifact, image, index, push, to_json
from tests.support.layouts import CONTAINERD_NAME, REF_NAME, LayoutOnDisk
from tests.support.node import running_containerd


@pytest.fixture
def layout(tmp_path):
    """Return an empty layout."""
    return LayoutOnDisk(tmp_path / "layout").make()


def assert_read(layout: LayoutOnDisk, name: str, content: Image, *, repository_name: str | None = None) -> None:
    """Assert that imgsync lists *name*, and reads *content* byte for byte."""
    reference = parse_reference(f"oci-layout:usb/{name}")
    path = reference.repository.path
    with opened(layout.folder, "source", repository=repository_name) as store:
        if reference.tag:
            assert path in set(store.iter_repositories())
            assert (reference.tag, content.digest) in {(tag, digest) for tag, digest, _ in store.iter_tags(path)}
        assert store.pull_manifest(reference).raw == content.raw
        for part in content.parts:
            assert store.pull_manifest(reference.repository.with_digest(part.digest), described_as=part.media_type).raw == part.raw
        for digest, data in content.all_blobs.items():
            assert b"".join(store.download(repository(path), blob(digest, data))) == data


@pytest.mark.parametrize(
    ("annotations", "name"),
    [
        pytest.param({REF_NAME: "latest"}, "usb:latest", id="regctl, oras, skopeo with a tag"),
        pytest.param({REF_NAME: "team/app:1"}, "team/app:1", id="skopeo with a name"),
        pytest.param({CONTAINERD_NAME: "docker.io/library/nginx:1.27", REF_NAME: "1.27"}, "docker.io/library/nginx:1.27", id="containerd, docker save"),
        pytest.param(
            {CONTAINERD_NAME: "docker.io/library/nginx:1.27", "org.opencontainers.image.created": "2026-01-01T00:00:00Z", REF_NAME: "1.27"},
            "docker.io/library/nginx:1.27",
            id="BuildKit",
        ),
        pytest.param({REF_NAME: "index.docker.io/library/ubuntu:24.04"}, "index.docker.io/library/ubuntu:24.04", id="crane --annotate-ref"),
    ],
)
@pytest.mark.parametrize("content", [image(1), index(2), image(3, kind=DOCKER), index(4, kind=DOCKER)], ids=["image", "index", "docker", "list"])
def test_image_is_found_by_the_name_that_its_tool_wrote(layout, annotations, name, content):
    """Whatever its type."""
    layout.add(content, annotations=annotations)

    assert_read(layout, name, content)


def test_image_without_a_name_is_found_by_digest(layout):
    """As `crane pull --format oci` writes it, with its platform."""
    content = layout.add(image(1), platform={"architecture": "amd64", "os": "linux"})

    assert_read(layout, f"usb@{content.digest}", content)
    assert_read(layout, f"library/app@{content.digest}", content, repository_name="library/app")


def test_index_of_oras_lists_parts_without_names(layout):
    """They belong to the image, and are no images of their own."""
    content = index(1)
    for child in content.children:
        layout.add(child)
    layout.add(content, annotations={REF_NAME: "v1"})
    bill = layout.add(artifact(1, subject=content), artifactType="application/vnd.example.sbom.v1+json")

    assert_read(layout, "usb:v1", content)
    with opened(layout.folder, "source") as store:
        assert store.list_tag_names(repository("usb")) == {"v1"}
        assert [one.digest for one in store.list_referrers(repository("usb"), content.digest)] == [bill.digest]


def test_referrers_of_regctl_are_found_by_their_tag(layout):
    """It writes the fallback tag of registries without the API."""
    content = layout.add(image(1), annotations={REF_NAME: "v1"})
    bill = layout.add(artifact(1, subject=content), listed=False)
    entry = {"mediaType": bill.media_type, "digest": bill.digest, "size": len(bill.raw), "artifactType": "application/vnd.example.sbom.v1+json"}
    fallback = Image(to_json({"schemaVersion": 2, "mediaType": OCI["index"], "manifests": [entry]}), OCI["index"])
    layout.add(fallback, annotations={REF_NAME: content.digest.replace(":", "-")})

    with opened(layout.folder, "source") as store:
        assert [one.digest for one in store.list_referrers(repository("usb"), content.digest)] == [bill.digest]
        assert store.pull_manifest(repository("usb").with_digest(bill.digest)).raw == bill.raw


@pytest.mark.parametrize(("name", "found"), [("v1", "usb:v1"), ("team/app:1", "team/app:1")])
@pytest.mark.parametrize("content", [image("skopeo"), index("skopeo")], ids=["image", "index"])
def test_layout_of_skopeo_is_read(registry, tmp_path, name, found, content):
    """Copied from a registry, with all platforms."""
    push(registry, f"skopeo/{tmp_path.name.lower()}", "1", content)
    source = f"docker://{registry.host}/skopeo/{tmp_path.name.lower()}:1"

    subprocess.run(
        ["skopeo", "--insecure-policy", "copy", "-q", "--all", "--src-tls-verify=false", source, f"oci:{tmp_path}/layout:{name}"], check=True, timeout=60
    )

    assert_read(LayoutOnDisk(tmp_path / "layout"), found, content)


@pytest.mark.parametrize("content", [image("ctr"), index("ctr"), image("ctr", kind=DOCKER)], ids=["image", "index", "docker"])
def test_unpacked_export_of_containerd_is_read(registry, tmp_path, content):
    """With the name under which it was pulled, where that is a path."""
    name = f"ctr/{tmp_path.name.lower()}"
    push(registry, name, "1", content)
    archive = tmp_path / "export.tar"
    with running_containerd() as socket:
        for words in (
            ["content", "fetch", "--plain-http", "--all-platforms", f"{registry.host}/{name}:1"],
            ["image", "tag", f"{registry.host}/{name}:1", "example.org/team/app:1"],
            ["image", "export", "--all-platforms", str(archive), "example.org/team/app:1"],
        ):
            subprocess.run(["ctr", "--address", str(socket), *words], check=True, capture_output=True, timeout=120)
    unpacked = Path(tmp_path / "layout")
    with tarfile.open(archive) as opened_archive:
        opened_archive.extractall(unpacked, filter="data")

    assert_read(LayoutOnDisk(unpacked), "example.org/team/app:1", content)


@pytest.mark.parametrize(
    ("program", "words", "found"),
    [
        ("crane", ("pull", "--insecure", "--format", "oci", "{image}", "{folder}"), "usb@{digest}"),
        ("crane", ("pull", "--insecure", "--format", "oci", "--annotate-ref", "{image}", "{folder}"), "usb@{digest}"),
        ("oras", ("cp", "--from-plain-http", "--to-oci-layout", "{image}", "{folder}:v1"), "usb:v1"),
        ("regctl", ("--host", "reg={host},tls=disabled", "image", "copy", "{image}", "ocidir://{folder}:v1"), "usb:v1"),
    ],
    ids=["crane", "crane with the name", "oras", "regctl"],
)
@pytest.mark.parametrize("content", [image("tool"), index("tool"), image("tool", kind=DOCKER)], ids=["image", "index", "docker"])
def test_layout_of_a_tool_is_read(registry, tmp_path, program, words, found, content):
    """Where the tool is found. The name that crane writes has the port of this registry, and so is not a path."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    name = f"tool/{tmp_path.name.lower()}"
    push(registry, name, "1", content)
    folder = tmp_path / "layout"
    filled = [word.format(image=f"{registry.host}/{name}:1", folder=folder, host=registry.host) for word in words]

    subprocess.run([program, *filled], check=True, timeout=60)

    assert_read(LayoutOnDisk(folder), found.format(digest=content.digest), content)
