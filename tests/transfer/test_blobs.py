"""Blobs: copied once, mounted, and sent again when they are gone."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest

from tests import switches
from tests.support.effort import effort
from tests.support.faults import FaultProxy
from tests.support.images import OCI, digest_of, first_layer, image, layer, pull_raw, push, request, to_json, with_layer
from tests.support.uploads import sent
from tests.support.witness import assert_served
from tests.switches import Respond


@pytest.mark.row("AUTH-11")
def test_urls_of_foreign_layers_are_never_asked(registry, name, declare, imgsync, source, foreign):
    """A manifest that says where a layer lies elsewhere leads nowhere: the layer is asked of the registry alone, or of nobody."""
    blob = b"on another server"
    own = image(1, layers=1)
    manifest = json.loads(own.raw)
    for kind in ("application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"):
        manifest["layers"].append(
            {"mediaType": kind, "digest": digest_of(blob), "size": len(blob), "urls": [f"{foreign.url}/layer", "http://169.254.169.254/"]}
        )
    raw = to_json(manifest)
    push(registry, f"{name}/app", "1", own)
    served = {"Content-Type": OCI["manifest"], "Docker-Content-Digest": digest_of(raw)}
    source.add(Respond(200, raw, headers=served), target="/manifests/")
    declare(f"[{name}/app]", retry="{attempts: 1}")

    imgsync("apply", "-o", "json")

    assert source.requests("GET .*/blobs/"), "the copy was begun"
    assert foreign.seen == []


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


@pytest.mark.nightly
@pytest.mark.row("REG-25")
def test_blob_of_many_tags_is_uploaded_once(registry, name, declare, imgsync, source, destination):
    """However many need it at once."""
    base = layer(("fifty", name), 50_000)
    for number in range(effort(16, 50)):
        push(registry, f"{name}/app", str(number), image((name, number), layers=0, shared=base))
    declare(f"[{name}/app]", "concurrency: {images: 16}\nreferrers: false")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert sent(destination, digest_of(base)) == len(base)
    assert len([one for one in source.seen if one.path.endswith(digest_of(base))]) == 1


@pytest.mark.row("REG-17")
def test_spent_quota_stops_its_project_alone(registry, second_registry, name, write, imgsync, source, destination):
    """Once a project's quota is used up no more bytes are sent to it than were under way; other projects get theirs."""
    for number in range(8):
        push(registry, f"{name}/app", str(number), image((name, number), layers=1))
    other = push(registry, f"{name}/other", "1", image("other"))
    destination.add(switches.quota_spent(), method="PUT", target=f"/full{name}/.*/uploads/")
    tail = "referrers: false, concurrency: {images: 2, blobs: 1}}\n"
    write(
        "mirrors.d/a.yaml",
        f"version: 1\nmirrors:\n  - {{name: a, source: {source}/{name}/app, destinations: ['{destination}/full{name}'], {tail}"
        f"  - {{name: b, source: {source}/{name}/other, destinations: ['{destination}/m'], {tail}",
    )
    write("registries.yaml", f"version: 1\nregistries:\n  {source}: {{tls: false}}\n  {destination}: {{tls: false}}\n")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"failed": 8, "copied": 1}
    assert all("the destination's quota is used up" in outcome["error"] for outcome in ran.json["outcomes"] if outcome["mirror"] == "a")
    assert len(destination.requests(f"PUT .*/full{name}/.*/uploads/")) <= 3
    assert_served(second_registry, f"m/{name}/other", "1", other)


@pytest.mark.row("REG-29")
@pytest.mark.parametrize("code", [500, 507])
def test_full_destination_fails_alone(code, registry, second_registry, name, write, imgsync, source, destination):
    """One destination has no space left: its words are the error, after as many tries as declared; the other has the image."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1))
    with FaultProxy(registry) as full:
        full.add(Respond(code, {"errors": [{"code": "UNKNOWN", "message": "write /data: no space left on device"}]}), method="PUT", target="/uploads/")
        write(
            "mirrors.d/a.yaml",
            f"version: 1\nmirrors:\n  - {{name: a, source: {source}/{name}/app, destinations: ['{full}/f', '{destination}/m'], referrers: false, "
            "concurrency: {blobs: 1}, retry: {attempts: 2, interval: 0s}}\n",
        )
        write("registries.yaml", "version: 1\nregistries:\n" + "".join(f"  {one}: {{tls: false}}\n" for one in (source, destination, full)))

        ran = imgsync("apply", "-o", "json")

        assert ran.code == 1
        assert {outcome["destination"].partition("/")[0]: bool(outcome["error"]) for outcome in ran.json["outcomes"]} == {
            full.host: True,
            destination.host: False,
        }
        assert [error for outcome in ran.json["outcomes"] if (error := outcome["error"]) and "no space left on device" in error]
        assert len(full.requests("PUT .*/uploads/")) <= 2
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("REG-12")
@pytest.mark.parametrize("length", ["7", None], ids=["another", "none"])
def test_blob_of_another_length_is_not_there(length, registry, name, declare, imgsync, destination):
    """A HEAD whose length is not the blob's says that something else is there; one without a length is believed."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    destination.add(switches.headers(Content_Length=length), method="HEAD", target=f"/blobs/{first_layer(content)}")

    ran = imgsync("verify", "-o", "json")

    assert ran.code == (1 if length else 0), ran.stdout
    assert ran.json["findings"][0]["condition"] == ("incomplete" if length else "ok")
