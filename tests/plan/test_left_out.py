"""What is left out on purpose is said by plan, report and verify, and not counted."""

from __future__ import annotations

import dataclasses
import json

import pytest

from imgsync.errors import UnsupportedContentError
from imgsync.oci.spec.manifest import parse_manifest
from imgsync.oci.spec.platform import parse_platform
from imgsync.oci.spec.select_platforms import select_platforms
from tests.support.images import DOCKER, OCI, Image, image, index, push, to_json, with_layer
from tests.support.registry_process import RegistryProcess
from tests.switches import Respond
from tests.switches.content import manifest_of

# The registry of the suite takes a manifest with this type, but not with Docker's.
NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


def without_blob(content: Image, digest: str) -> Image:
    """Return *content* without the bytes of one blob."""
    return dataclasses.replace(content, blobs={name: blob for name, blob in content.blobs.items() if name != digest})


def first_layer(content: Image) -> str:
    """Return the digest of the first layer of *content*."""
    return str(json.loads(content.raw)["layers"][0]["digest"])


def external(media_type: str = NONDISTRIBUTABLE) -> Image:
    """Return a Windows image whose first layer is external."""
    return with_layer(image("windows", kind=DOCKER), mediaType=media_type, urls=["https://example.com/layer"])


def push_external(registry: RegistryProcess, repository: str, content: Image) -> None:
    """Push *content* without its external layer."""
    push(registry, repository, "1", without_blob(content, first_layer(content)))


@pytest.mark.row("AUTH-11")
def test_external_layer_that_the_source_lacks_is_left_out_aloud(lab):
    """In the plan, the report and verify, as a table, JSON and Markdown; the bytes planned are the bytes sent."""
    content = external()
    push_external(lab.source_registry, f"{lab.name}/app", content)
    lab.declare("app")

    planned = {form: lab.run("plan", "-o", form) for form in ("table", "json", "markdown")}
    applied = lab.run("apply", "-o", "json")
    lab.write("report.json", applied.stdout)
    verified = {form: lab.run("verify", "-o", form) for form in ("table", "json", "markdown")}

    shown = [lab.run("show", "report.json", "-o", form) for form in ("table", "markdown")]
    short = first_layer(content).removeprefix("sha256:")[:12]
    for ran in (*planned.values(), *verified.values(), *shown):
        assert "left out: external layer" in ran.stdout
        assert short in ran.stdout
    (change,), (outcome,), (finding,) = planned["json"].json["changes"], applied.json["outcomes"], verified["json"].json["findings"]
    assert change["left_out"] == outcome["left_out"] == finding["left_out"] == [f"external layer {first_layer(content)} that the source registry does not have"]
    assert planned["json"].json["summary"]["transfer_bytes"] == outcome["bytes_copied"]
    assert (finding["condition"], verified["json"].code) == ("ok", 0)
    assert len([one for one in lab.source.requests("HEAD .*/blobs/") if first_layer(content) in one]) == 3 + 1 + 3, "once per run"


def test_layer_of_docker_s_type_is_left_out_too(lab):
    """A layer is external by its type, or by its `urls`."""
    content = external(FOREIGN)
    lab.push("app", "1", image(1))
    lab.source.add(manifest_of(content), target="/manifests/")
    lab.declare("app")

    (change,) = lab.run("plan", "-o", "json").json["changes"]

    assert change["left_out"] == [f"external layer {first_layer(content)} that the source registry does not have"]


def test_external_layer_of_the_source_is_copied_and_verified(lab):
    """A destination that lost it has drifted."""
    content = lab.push("app", "1", external())
    lab.declare("app")

    applied = lab.run("apply", "-o", "json")

    assert "left_out" not in applied.json["outcomes"][0]
    assert applied.json["outcomes"][0]["blobs_copied"] == len(content.blobs)
    lab.destination.add(Respond(404), method="HEAD", target=f"/blobs/{first_layer(content)}")
    assert [finding["condition"] for finding in lab.run("verify", "-o", "json").json["findings"]] == ["incomplete"]


def test_platform_that_an_image_lacks_is_said(lab):
    """The image is copied with those that it has."""
    lab.push("app", "1", index("a"))
    lab.declare("app", "platforms: [linux/amd64, linux/s390x]")
    said = "left out: platform linux/s390x that the image does not have"

    planned, applied, verified = lab.run("plan"), lab.run("apply"), lab.run("verify")

    assert [said in ran.stdout for ran in (planned, applied, verified)] == [True, True, True]
    assert (applied.code, verified.code) == (0, 0)
    assert lab.run("apply", "-o", "json").json["summary"]["kept"] == 1


def nested() -> Image:
    """Return an index of two indexes: one for two platforms, one for another."""
    return index(children=[index("linux"), index("arm", platforms=["arm64", "s390x"])])


def test_platforms_reach_into_nested_indexes(lab):
    """Each index is reduced; an unchanged run asks for one manifest; verify finds no drift."""
    content = lab.push("app", "1", nested())
    lab.declare("app", "platforms: [linux/arm64]")

    planned = lab.run("plan", "-o", "json")
    applied = lab.run("apply", "-o", "json")

    assert applied.code == 0, applied.stdout
    (outcome,) = applied.json["outcomes"]
    assert outcome["digest"] != content.digest
    assert planned.json["summary"]["transfer_bytes"] == outcome["bytes_copied"]
    kept = [parse_manifest(lab.served_manifest("app", child.digest)) for child in parse_manifest(lab.served_manifest("app", "1")).children]
    assert [[str(child.platform) for child in inner.children] for inner in kept] == [["linux/arm64"], ["linux/arm64"]]
    assert lab.run("verify", "--deep").code == 0
    lab.source.forget()
    assert lab.run("apply", "-o", "json").json["summary"]["kept"] == 1
    assert len(lab.source.requests("/manifests/")) == 1


def test_nested_index_without_the_platforms_goes(lab):
    """Where nothing has one of them, the error names those of every level."""
    lab.push("app", "1", nested())
    lab.declare("app", "platforms: [linux/s390x]")

    assert lab.run("apply").code == 0
    assert len(parse_manifest(lab.served_manifest("app", "1")).children) == 1
    lab.declare("app", "platforms: [plan9/sparc]")
    assert "it has linux/amd64, linux/arm64, linux/s390x" in lab.run("plan").stdout


def test_index_that_is_nested_too_deeply_is_refused():
    """And one whose indexes are too large; each is read once."""
    inner = index(1)
    known = {inner.digest: inner}
    for _ in range(4):
        inner = index(children=[inner])
        known[inner.digest] = inner

    def read_child(_parent, child):
        return parse_manifest(known[child.digest].raw)

    with pytest.raises(UnsupportedContentError, match="nested deeper than 4 levels"):
        select_platforms(parse_manifest(inner.raw), [parse_platform("linux/amd64")], read_child=read_child)


def test_indexes_within_an_index_are_bounded():
    """The first 16 MiB are read."""
    large = [index(number, annotations={"x": "y" * (3 << 20)}) for number in range(8)]
    known = {one.digest: one for one in large}
    read = []

    def read_child(_parent, child):
        read.append(child.digest)
        return parse_manifest(known[child.digest].raw)

    with pytest.raises(UnsupportedContentError, match="exceed 16 MiB"):
        select_platforms(parse_manifest(index(children=large).raw), [parse_platform("linux/amd64")], read_child=read_child)
    assert len(read) == 6


def test_reduced_nested_index_keeps_the_fields_of_its_entry():
    """Only digest and size change."""
    inner = index(1)
    entry = {"mediaType": OCI["index"], "digest": inner.digest, "size": len(inner.raw), "annotations": {"a": "b"}}
    outer = parse_manifest(to_json({"schemaVersion": 2, "mediaType": OCI["index"], "manifests": [entry]}))

    found = select_platforms(outer, [parse_platform("linux/arm64")], read_child=lambda *_: parse_manifest(inner.raw))

    (made,) = found.made
    assert json.loads(found.root.raw)["manifests"] == [entry | {"digest": made.digest, "size": made.size_bytes}]
