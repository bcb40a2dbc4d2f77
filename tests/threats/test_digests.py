"""The content is what its digest says, or it is not copied: DIG-01 … DIG-21 of docs/threat-model.md."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest

from tests import switches
from tests.images import OCI, Image, digest_of, image, index, layer, pull_raw, push, request, to_json
from tests.run_imgsync import Result
from tests.switches.content import Flipping, Unlike, manifest_of
from tests.witness import assert_served

SAVED = "plan.json"


def errors_of(ran: Result) -> list[str]:
    """Return what the run says went wrong, with plan and images alike."""
    return [error for outcome in ran.json["outcomes"] if (error := outcome["error"])] + [event["error"] for event in ran.events("plan.failed")]


def only_error(ran: Result) -> str:
    (error,) = errors_of(ran)
    assert ran.code == 1
    return str(error)


@pytest.mark.row("DIG-01")
@pytest.mark.parametrize("what", ["the image of a saved plan", "a child of an index"])
def test_pinned_manifest_with_other_bytes_is_refused(what, registry, second_registry, name, declare, imgsync, source):
    """Asked for by digest, another manifest is refused though all it says of itself is true; the destination stays as it was."""
    root = push(registry, f"{name}/app", "1", index(1))
    other = push(registry, f"{name}/app", "other", image(2))
    declare(f"[{name}/app]", "tags: {names: ['1']}")
    assert imgsync("plan", "--out", SAVED).code == 0
    pinned = root if what.startswith("the image") else root.children[0]
    source.add(manifest_of(other), method="GET", target=pinned.digest)

    ran = imgsync("apply", "--plan", SAVED, "-o", "json")

    assert f"expected {pinned.digest}, got {other.digest}" in only_error(ran)
    assert ran.events("image.failed")[0]["hint"] == "the registry serves damaged or altered content; nothing was committed"
    assert second_registry.tags(f"m/{name}/app") == []
    assert pull_raw(second_registry, f"m/{name}/app", other.digest) is None


@pytest.mark.row("DIG-02")
def test_header_of_another_manifest_is_an_error(registry, second_registry, name, declare, imgsync, source):
    """`Docker-Content-Digest` is believed neither instead of the bytes nor beside them: where they differ nothing is copied."""
    content = push(registry, f"{name}/app", "1", image(1))
    source.add(switches.headers(Docker_Content_Digest=image(2).digest), method="GET", target="/manifests/1$")
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert f"expected {image(2).digest}, got {content.digest}" in only_error(ran)
    assert second_registry.tags(f"m/{name}/app") == []


@pytest.mark.row("DIG-03")
def test_head_is_asked_with_the_types_that_get_is(registry, name, declare, imgsync, source):
    """Registries convert for who does not say all that he takes: HEAD and GET of a manifest say the same, all of it."""
    push(registry, f"{name}/app", "1", index(1))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    assert imgsync("plan", "--refresh").code == 0

    accepted = {one.headers["accept"] for one in source.recorded("(GET|HEAD) .*/manifests/")}

    assert {one.method for one in source.recorded("/manifests/")} == {"GET", "HEAD"}
    assert len(accepted) == 1
    assert {OCI["index"], OCI["manifest"]} < set(accepted.pop().split(", "))


@pytest.mark.row("DIG-03")
def test_what_head_tells_is_not_copied(registry, second_registry, name, declare, imgsync, source):
    """HEAD tells of one manifest, GET serves another: what is planned and copied is what was read, and it is told."""
    push(registry, f"{name}/app", "1", index(1))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    moved = push(registry, f"{name}/app", "1", index(2))
    # As registries do that convert an index to the image of one platform: it is there, and has that digest.
    source.add(Unlike(moved.children[0]), method="HEAD", target="/manifests/1$")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["outcomes"][0]["digest"] == moved.digest
    assert_served(second_registry, f"m/{name}/app", "1", moved)
    (warning,) = ran.events("tag.moved")
    assert moved.digest[7:19] in warning["reason"]
    assert moved.children[0].digest[7:19] in warning["reason"]


@pytest.mark.row("DIG-04")
@pytest.mark.parametrize("at", [0, 150_000, -1], ids=["first byte", "in the middle", "last byte"])
@pytest.mark.parametrize("chunk_size", ["", "chunk_size: 64KiB"], ids=["one request", "pieces"])
def test_one_wrong_bit_completes_no_upload(at, chunk_size, registry, second_registry, name, declare, imgsync, source, destination, write):
    """Wherever the bit is: no upload of the blob is ever completed, so that not even a destination that checks nothing could keep it."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=300_000))
    blob = next(iter(content.blobs))
    source.add(switches.corrupt_byte(at % len(content.blobs[blob])), method="GET", target=blob)
    declare(f"[{name}/app]")
    if chunk_size:
        write("registries.yaml", f"version: 1\nregistries:\n  {source.host}: {{tls: false}}\n  {destination.host}: {{tls: false, {chunk_size}}}\n")

    ran = imgsync("apply", "-o", "json")

    assert f"expected {blob}, got sha256:" in only_error(ran)
    assert request(second_registry, "HEAD", f"/v2/m/{name}/app/blobs/{blob}")[0] == 404
    assert second_registry.tags(f"m/{name}/app") == []
    assert all(one.status != 201 for one in destination.recorded(f"PUT .*digest={blob.replace(':', '%3A')}"))
    assert sum(one.bytes_up for one in destination.seen) < sum(map(len, content.blobs.values())), "its last piece was never sent"


@pytest.mark.row("DIG-09")
@pytest.mark.parametrize("size", [True, 1e3, 3.5, -1, 10**30, "1000", None, [1]], ids=repr)
def test_impossible_size_is_refused_before_any_blob_is_asked_for(size, registry, second_registry, name, declare, imgsync, source):
    """A size is a whole number up to 64 GiB, and nothing else that JSON or Python would take for one."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1))
    source.add(manifest_of(with_layer(content, size=size)), target="/manifests/1$")
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert "impossible size" in only_error(ran)
    assert source.requests("/blobs/") == []
    assert second_registry.tags(f"m/{name}/app") == []


def with_layer(content: Image, **changes: object) -> Image:
    """Return *content* with its first layer's descriptor changed."""
    document = json.loads(content.raw)
    document["layers"][0] |= changes
    return dataclasses.replace(content, raw=to_json(document))


@pytest.mark.row("DIG-13")
def test_tag_that_moves_with_every_request_is_one_image(registry, second_registry, name, declare, imgsync, source):
    """A tag is resolved once: what arrives is one of the two, whole, and the one that the report names."""
    both = [push(registry, f"{name}/app", tag, index(number)) for number, tag in enumerate(("1", "other"))]
    source.add(Flipping(*both), method="GET|HEAD", target="/manifests/1$")
    declare(f"[{name}/app]", "tags: {names: ['1']}")

    for _ in range(3):
        ran = imgsync("apply", "-o", "json", "--refresh")

        assert ran.code == 0, ran.stderr
        digest = ran.json["outcomes"][0]["digest"]
        (served,) = [content for content in both if content.digest == digest]
        assert_served(second_registry, f"m/{name}/app", "1", served)


@pytest.mark.row("DIG-14")
def test_tag_that_vanished_is_passed_over_and_told(registry, second_registry, name, declare, imgsync, source):
    """Listed, and gone when asked for: told of, no failure. One that was declared by name and is not there is one."""
    push(registry, f"{name}/app", "a", image(1))
    push(registry, f"{name}/app", "b", image(2))
    source.add(switches.status(404, error="MANIFEST_UNKNOWN"), target="/manifests/b$")
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0
    assert [event["source"].rpartition(":")[2] for event in ran.events("tag.vanished")] == ["b"]
    assert second_registry.tags(f"m/{name}/app") == ["a"]
    declare(f"[{name}/app]", "tags: {names: [b]}")
    ran = imgsync("apply", "-o", "json")
    assert "fewer than at_least: 1" in only_error(ran)


@pytest.mark.row("DIG-16")
def test_index_without_one_of_its_children_leaves_the_tag_alone(registry, second_registry, name, declare, imgsync, source):
    """A child that the source has not is an error of that tag, which goes on serving what it did; the others are copied."""
    before = push(registry, f"{name}/app", "1", index(1))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    moved = push(registry, f"{name}/app", "1", index(2))
    other = push(registry, f"{name}/app", "2", index(3))
    source.add(switches.status(404, error="MANIFEST_UNKNOWN"), target=moved.children[1].digest)

    ran = imgsync("apply", "-o", "json")

    error = only_error(ran)
    assert f"pull manifest {source.host}/{name}/app@{moved.children[1].digest} (source): 404 MANIFEST_UNKNOWN" in error
    assert_served(second_registry, f"m/{name}/app", "1", before)
    assert_served(second_registry, f"m/{name}/app", "2", other)


@pytest.mark.row("DIG-19")
def test_embedded_data_is_not_believed(registry, second_registry, name, declare, imgsync, source):
    """What a descriptor holds as `data` is not taken for the blob: the blob is read by its digest, and the manifest stays as it is."""
    content = image(1, layers=1)
    lie = with_layer(content, data="bm90IHRoZSBibG9i")
    push(registry, f"{name}/app", "1", lie)
    declare(f"[{name}/app]")

    assert imgsync("apply").code == 0

    blob = json.loads(lie.raw)["layers"][0]["digest"]
    assert len(source.requests(f"GET .*{blob}")) == 1
    assert_served(second_registry, f"m/{name}/app", "1", lie)


@pytest.mark.row("DIG-21")
def test_empty_layer_is_copied(registry, second_registry, name, declare, imgsync, destination):
    """A blob of no byte at all is asked for, sent with `Content-Length: 0`, and found there."""
    content = push(registry, f"{name}/app", "1", image(1, contents=[b"", layer(1)]))
    declare(f"[{name}/app]")

    ran = imgsync("apply")

    assert ran.code == 0, ran.stderr
    assert_served(second_registry, f"m/{name}/app", "1", content)
    (put,) = [one for one in destination.recorded("PUT") if digest_of(b"").replace(":", "%3A") in one.target]
    assert put.headers["content-length"] == "0"


@pytest.mark.row("DIG-11")
def test_sha512_image_is_copied(registry, second_registry, name, declare, imgsync, source):
    """A layer named by sha512 is verified by sha512, and arrives under that name."""
    content = image(1, layers=1)
    blob = next(iter(content.blobs))
    digest = f"sha512:{hashlib.sha512(content.blobs[blob]).hexdigest()}"
    named = with_layer(content, digest=digest)
    rest = {key: value for key, value in content.blobs.items() if key != blob}
    wanted = push(registry, f"{name}/app", "1", dataclasses.replace(named, blobs={digest: content.blobs[blob], **rest}))
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert source.requests(f"GET .*{digest}")
    assert pull_raw(second_registry, f"m/{name}/app", "1") == wanted.raw
    assert request(second_registry, "GET", f"/v2/m/{name}/app/blobs/{digest}")[2] == content.blobs[blob]
