"""An image's descriptors must agree with its content, in plan, copy and verify."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from tests.support.images import DOCKER, OCI, Image, digest_of, image, index, to_json, with_layer
from tests.support.outcomes import errors_by_repository, only_error, only_plan_error
from tests.switches.content import manifest_of


def with_child(content: Image, **changes: object) -> Image:
    """Return the index *content* with its first child's descriptor changed."""
    document = json.loads(content.raw)
    document["manifests"][0] |= changes
    return dataclasses.replace(content, raw=to_json(document))


def twice(content: Image, **changes: object) -> Image:
    """Return *content* with its first layer named twice, the second time with *changes*."""
    document = json.loads(content.raw)
    document["layers"].append(document["layers"][0] | changes)
    return dataclasses.replace(content, raw=to_json(document))


GOOD = index("good")
NESTED = index("nested", nested=True)
LIES = {
    "child of another size": (with_child(GOOD, size=len(GOOD.children[0].raw) + 7), "bytes, but it is "),
    "image described as an index": (with_child(GOOD, mediaType=OCI["index"]), f"as {OCI['index']}, but it is {OCI['manifest']}"),
    "index described as an image": (with_child(NESTED, mediaType=OCI["manifest"]), f"as {OCI['manifest']}, but it is {OCI['index']}"),
    "image described as a layer": (with_child(GOOD, mediaType=OCI["layer"]), f"as {OCI['layer']}, but it is {OCI['manifest']}"),
    "blob of two sizes": (twice(image("two"), size=9), "two sizes: "),
    "blob of two sizes in two images": (
        index(children=[image("a", shared=b"x"), with_layer(image("b", shared=b"x", platform="linux/arm64"), size=2)]),
        "two sizes: 1 and 2 bytes",
    ),
}


@pytest.mark.row("DIG-22")
@pytest.mark.parametrize(("content", "message"), LIES.values(), ids=LIES)
def test_contradicting_descriptor_is_refused(content, message, lab):
    """The plan refuses the tag; nothing of it is pushed."""
    lab.push("app", "good", image(1))
    for part in content.parts:
        lab.source.add(manifest_of(part), target=f"/manifests/{part.digest}$")
    lab.source.add(manifest_of(content), target="/manifests/bad$")
    lab.declare("app", "tags: {names: [bad, good]}")

    planned, applied = lab.run("plan", "-o", "json"), lab.run("apply", "-o", "json")

    assert message in only_plan_error(planned)
    assert message in only_error(applied)
    assert lab.served_tags("app") == ["good"]


@pytest.mark.row("DIG-22")
@pytest.mark.parametrize("name", ["child of another size", "blob of two sizes"])
@pytest.mark.parametrize("deep", [[], ["--deep"]], ids=["shallow", "deep"])
def test_verify_finds_a_contradicting_descriptor(deep, name, lab):
    """Also an image that another tool pushed to the destination."""
    content, message = LIES[name]
    for registry in (lab.source, lab.destination):
        for part in content.parts:
            registry.add(manifest_of(part), target=f"/manifests/{part.digest}$")
        registry.add(manifest_of(content), target="/manifests/bad$")
    lab.declare("app", "tags: {names: [bad]}")

    ran = lab.run("verify", "-o", "json", *deep)

    assert ran.code == 1
    assert [message in error["message"] for error in ran.json["errors"]] == [True]


def test_types_of_one_kind_may_stand_for_each_other(lab):
    """Some indexes describe OCI images with Docker's type."""
    content = with_child(index("mixed"), mediaType=DOCKER["manifest"])
    lab.push("app", "1", content)
    lab.declare("app")

    assert lab.run("apply").code == 0
    lab.assert_served("app", "1", content)


@pytest.mark.row("DIG-09")
def test_layer_above_the_limit_names_the_setting(lab):
    """`max_blob_size` of the source registry, 64 GiB by default; no blob is requested."""
    lab.push("app", "1", image(1))
    large = with_layer(image("large"), size=65 << 30)
    lab.source.add(manifest_of(large), target="/manifests/large$")
    lab.declare("app", "tags: {names: ['1', large]}")

    ran = lab.run("apply", "-o", "json")

    assert "has 65.0 GiB, more than max_blob_size: 64.0 GiB" in only_error(ran)
    assert f"raise `max_blob_size` of {lab.source.host} in registries.yaml" in ran.stdout
    assert lab.served_tags("app") == ["1"]
    file = lab.folder / "registries.yaml"
    file.write_text(file.read_text().replace(f"{lab.source.host}: {{tls: false}}", f"{lab.source.host}: {{tls: false, max_blob_size: 200GiB}}"))
    assert lab.run("plan", "-o", "json").json["summary"]["create"] == 1


@pytest.mark.row("DIG-22")
@pytest.mark.parametrize("size", [0, 900])
@pytest.mark.parametrize("where", ["app", "other"], ids=["same repository", "mounted"])
def test_size_of_a_blob_that_another_image_brought_is_checked(where, size, lab):
    """The blob is not read again for the second image."""
    good = image("good", shared=b"shared")
    lab.push("app", "good", good)
    lab.push("other", "good", good)
    bad = with_layer(good, size=size)
    lab.source.add(manifest_of(bad), target=f"/{where}/manifests/worse$")
    # In this order, so that "good" brings the blob.
    lab.declare("app other", "tags: {names: [good, worse]}\nconcurrency: {images: 1}")

    ran = lab.run("apply", "-o", "json", "--refresh")

    assert ran.code == 1
    assert [lab.served_tags(one) for one in ("app", "other")] == [["good"], ["good"]]


@pytest.mark.row("DIG-22")
@pytest.mark.parametrize("size", [0, 900])
@pytest.mark.parametrize("where", ["app", "other"], ids=["same repository", "mounted"])
def test_size_of_a_blob_that_an_earlier_run_brought_is_checked(where, size, lab):
    """Neither the record nor a mount stands for a blob of another size."""
    good = lab.push("app", "good", image("good", shared=b"shared"))
    lab.declare("app")
    assert lab.run("apply").code == 0
    exported = lab.run("state", "export").stdout
    assert f'"digest":"{digest_of(b"shared")}","repositories":"m/{lab.name}/app","sources":"{lab.source.host}","size":"6"' in exported
    lab.push("other", "good", good)
    lab.source.add(manifest_of(with_layer(good, size=size)), target=f"/{where}/manifests/worse$")
    lab.declare("app other", "tags: {names: [good, worse]}\nconcurrency: {images: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert digest_of(b"shared") in errors_by_repository(ran)[where]
    assert [lab.served_tags(one) for one in ("app", "other")] == [["good"], ["good"]]
    assert ran.json["summary"]["blobs_mounted"] > 0


def test_image_is_copied_though_the_record_has_another_size(lab):
    """The content decides, and the record is corrected."""
    good = lab.push("app", "good", image("good", shared=b"shared"))
    lab.declare("app")
    assert lab.run("apply").code == 0
    exported = lab.run("state", "export").stdout
    shutil.rmtree(lab.folder / ".imgsync")
    lab.write("state.jsonl", exported.replace('"size":"6"', '"size":"7"'))
    assert lab.run("state", "import", "state.jsonl").code == 0
    lab.push("other", "good", good)
    lab.declare("other")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    lab.assert_served("other", "good", good)
    assert '"size":"7"' not in lab.run("state", "export").stdout
