"""Blobs: copied once, mounted, and sent again when they are gone."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest

from tests import switches
from tests.support.effort import effort
from tests.support.faults import FaultProxy
from tests.support.images import OCI, digest_of, first_layer, image, layer, request, to_json, with_layer
from tests.support.uploads import sent
from tests.switches import Respond


@pytest.mark.row("AUTH-11")
def test_urls_in_a_descriptor_get_no_request(lab):
    """A layer with `urls` is requested from the registry, or skipped."""
    blob = b"on another server"
    own = image(1, layers=1)
    manifest = json.loads(own.raw)
    for kind in ("application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"):
        manifest["layers"].append(
            {"mediaType": kind, "digest": digest_of(blob), "size": len(blob), "urls": [f"{lab.other_host.url}/layer", "http://169.254.169.254/"]}
        )
    raw = to_json(manifest)
    lab.push("app", "1", own)
    served = {"Content-Type": OCI["manifest"], "Docker-Content-Digest": digest_of(raw)}
    lab.source.add(Respond(200, raw, headers=served), target="/manifests/")
    lab.declare("app", retry="{attempts: 1}")

    lab.run("apply", "-o", "json")

    assert lab.source.requests("GET .*/blobs/"), "the copy was begun"
    assert lab.other_host.seen == []


@pytest.mark.row("DIG-19")
def test_embedded_data_is_ignored(lab):
    """A descriptor's `data` does not replace the blob, and the manifest stays unchanged."""
    content = image(1, layers=1)
    lie = with_layer(content, data="bm90IHRoZSBibG9i")
    lab.push("app", "1", lie)
    lab.declare("app")

    assert lab.run("apply").code == 0

    blob = json.loads(lie.raw)["layers"][0]["digest"]
    assert len(lab.source.requests(f"GET .*{blob}")) == 1
    lab.assert_served("app", "1", lie)


@pytest.mark.row("DIG-21")
def test_empty_layer_is_copied(lab):
    """An empty blob is read, and sent with `Content-Length: 0`."""
    content = lab.push("app", "1", image(1, contents=[b"", layer(1)]))
    lab.declare("app")

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    lab.assert_served("app", "1", content)
    (put,) = [one for one in lab.destination.recorded("PUT") if digest_of(b"").replace(":", "%3A") in one.target]
    assert put.headers["content-length"] == "0"


@pytest.mark.row("DIG-11")
def test_sha512_image_is_copied(lab):
    """A layer with a sha512 digest is verified and arrives under that digest."""
    content = image(1, layers=1)
    blob = next(iter(content.blobs))
    digest = f"sha512:{hashlib.sha512(content.blobs[blob]).hexdigest()}"
    named = with_layer(content, digest=digest)
    rest = {key: value for key, value in content.blobs.items() if key != blob}
    wanted = lab.push("app", "1", dataclasses.replace(named, blobs={digest: content.blobs[blob], **rest}))
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert lab.source.requests(f"GET .*{digest}")
    assert lab.served_manifest("app", "1") == wanted.raw
    assert request(lab.destination_registry, "GET", f"/v2/m/{lab.name}/app/blobs/{digest}")[2] == content.blobs[blob]


@pytest.mark.nightly
@pytest.mark.row("REG-25")
def test_blob_of_many_tags_is_uploaded_once(lab):
    """Images that need the same blob at once upload it once."""
    base = layer(("fifty", lab.name), 50_000)
    for number in range(effort(16, 50)):
        lab.push("app", str(number), image((lab.name, number), layers=0, shared=base))
    lab.declare("app", "concurrency: {images: 16}\nreferrers: false")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert sent(lab.destination, digest_of(base)) == len(base)
    assert len([one for one in lab.source.seen if one.path.endswith(digest_of(base))]) == 1


@pytest.mark.row("REG-17")
def test_exceeded_quota_stops_only_its_project(lab):
    """A project over quota gets no more uploads; other projects get theirs."""
    for number in range(8):
        lab.push("app", str(number), image((lab.name, number), layers=1))
    other = lab.push("other", "1", image("other"))
    lab.destination.add(switches.quota_spent(), method="PUT", target=f"/full{lab.name}/.*/uploads/")
    tail = "referrers: false, concurrency: {images: 2, blobs: 1}}\n"
    lab.write(
        "mirrors.d/a.yaml",
        f"version: 1\nmirrors:\n  - {{name: a, source: {lab.source}/{lab.name}/app, destinations: ['{lab.destination}/full{lab.name}'], {tail}"
        f"  - {{name: b, source: {lab.source}/{lab.name}/other, destinations: ['{lab.destination}/m'], {tail}",
    )
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source}: {{tls: false}}\n  {lab.destination}: {{tls: false}}\n")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"failed": 8, "copied": 1}
    assert all("the destination's quota is used up" in outcome["error"] for outcome in ran.json["outcomes"] if outcome["mirror"] == "a")
    # Of 16 blobs, two are in flight. A refusal that comes before the body is read can be lost in a reset, and is asked for again.
    assert len(lab.destination.requests(f"PUT .*/full{lab.name}/.*/uploads/")) <= 6
    lab.assert_served("other", "1", other)


@pytest.mark.row("REG-29")
@pytest.mark.parametrize("code", [500, 507])
def test_full_destination_fails_alone(code, lab):
    """A full destination's message is the error after the declared attempts; the other has the image."""
    content = lab.push("app", "1", image(1, layers=1))
    with FaultProxy(lab.source_registry) as full:
        full.add(Respond(code, {"errors": [{"code": "UNKNOWN", "message": "write /data: no space left on device"}]}), method="PUT", target="/uploads/")
        lab.write(
            "mirrors.d/a.yaml",
            f"version: 1\nmirrors:\n  - {{name: a, source: {lab.source}/{lab.name}/app, destinations: ['{full}/f', '{lab.destination}/m'], referrers: false, "
            "concurrency: {blobs: 1}, retry: {attempts: 2, interval: 0s}}\n",
        )
        lab.write("registries.yaml", "version: 1\nregistries:\n" + "".join(f"  {one}: {{tls: false}}\n" for one in (lab.source, lab.destination, full)))

        ran = lab.run("apply", "-o", "json")

        assert ran.code == 1
        assert {outcome["destination"].partition("/")[0]: bool(outcome["error"]) for outcome in ran.json["outcomes"]} == {
            full.host: True,
            lab.destination.host: False,
        }
        assert [error for outcome in ran.json["outcomes"] if (error := outcome["error"]) and "no space left on device" in error]
        assert len(full.requests("PUT .*/uploads/")) <= 2
    lab.assert_served("app", "1", content)


@pytest.mark.row("REG-12")
@pytest.mark.parametrize("length", ["7", None], ids=["another", "none"])
def test_head_with_another_length_means_missing(length, lab):
    """A HEAD with another length means that the blob is missing; without a length it counts."""
    content = lab.push("app", "1", image(1, layers=1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    lab.destination.add(switches.headers(Content_Length=length), method="HEAD", target=f"/blobs/{first_layer(content)}")

    ran = lab.run("verify", "-o", "json")

    assert ran.code == (1 if length else 0), ran.stdout
    assert ran.json["findings"][0]["condition"] == ("incomplete" if length else "ok")
