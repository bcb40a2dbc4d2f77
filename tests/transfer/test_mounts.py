"""Mounts: only what the source has, and no pair of repositories is asked in vain twice."""

from __future__ import annotations

import json
import shutil

import pytest

from tests import switches
from tests.plan.test_verify import Behind
from tests.support.images import OCI, digest_of, first_layer, image, layer, push, request, to_json
from tests.support.uploads import sent
from tests.switches import Respond

ONE_LANE = "referrers: false\nconcurrency: {images: 1, blobs: 1}"


@pytest.mark.parametrize("switch", [switches.refuse_mount(), switches.status(403), switches.status(405)], ids=["session", "403", "405"])
def test_pair_that_cannot_mount_is_asked_once(switch, lab):
    """The other blobs are sent without another mount request."""
    content = lab.push("a", "1", image(1, layers=4))
    lab.declare("a", ONE_LANE)
    assert lab.run("apply").code == 0
    lab.push("b", "1", content)
    lab.declare("a b", ONE_LANE)
    lab.destination.add(switch, method="POST", target="mount=")

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    assert len(lab.destination.recorded("POST .*mount=")) == 1
    lab.assert_served("b", "1", content)


def test_lost_blob_does_not_end_the_mounts_of_its_repository(lab):
    """It is sent; the other blobs are still mounted."""
    content = lab.push("a", "1", image(1, layers=4))
    lab.declare("a", ONE_LANE)
    assert lab.run("apply").code == 0
    lab.push("b", "1", content)
    lab.declare("a b", ONE_LANE)
    Behind(lab.destination_registry, f"m/{lab.name}/a").forget_blob(first_layer(content))
    lab.destination.forget()

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [ran.json["summary"][how] for how in ("blobs_copied", "blobs_mounted")] == [1, 4]


def declare_two_sources(lab, first: str, second: str) -> None:
    """Declare one mirror from each source host to the same destination registry."""
    mirrors = "".join(
        f"  - {{name: {name}, source: '{host}/{lab.name}/{name}', destinations: ['{lab.destination.host}/m'], referrers: false}}\n"
        for name, host in ((first, lab.source.host), (second, lab.other_host.host))
    )
    lab.write("mirrors.d/a.yaml", f"version: 1\nmirrors:\n{mirrors}")
    hosts = (lab.source.host, lab.other_host.host, lab.destination.host)
    lab.write("registries.yaml", "version: 1\nregistries:\n" + "".join(f"  {host}: {{tls: false}}\n" for host in hosts))


@pytest.mark.row("REG-30")
@pytest.mark.parametrize("when", ["same run", "next run"])
def test_digest_alone_does_not_publish_a_layer(when, lab):
    """A source that names a private mirror's layer must serve it."""
    secret = layer(("secret", lab.name), 3000)
    lab.push("private", "1", image((lab.name, 1), layers=0, shared=secret))
    own = lab.push("public", "1", image((lab.name, 2), layers=1))
    document = json.loads(own.raw)
    document["layers"].append({"mediaType": OCI["layer"], "digest": digest_of(secret), "size": len(secret)})
    raw = to_json(document)
    lab.other_host.add(Respond(200, raw, headers={"Content-Type": OCI["manifest"], "Docker-Content-Digest": digest_of(raw)}), target="/manifests/")
    declare_two_sources(lab, "private", "public")
    if when == "next run":
        assert lab.run("apply", "--only", "private").code == 0

    ran = lab.run("apply")

    assert ran.code == 1
    assert lab.served_tags("private") == ["1"]
    status, _, _ = request(lab.destination_registry, "HEAD", f"/v2/m/{lab.name}/public/blobs/{digest_of(secret)}")
    assert status == 404


@pytest.mark.row("REG-30")
def test_layer_of_another_source_is_mounted_after_one_head(lab):
    """The state remembers that this source has it too, so the next image needs no HEAD."""
    base = layer(("both", lab.name), 3000)
    lab.push("one", "1", image((lab.name, 1), layers=0, shared=base))
    lab.push("two", "1", image((lab.name, 2), layers=0, shared=base))
    declare_two_sources(lab, "one", "two")
    assert lab.run("apply", "--only", "one").code == 0

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    assert sent(lab.destination, digest_of(base)) == len(base)
    assert lab.other_host.requests("HEAD .*/blobs/") == [f"HEAD /v2/{lab.name}/two/blobs/{digest_of(base)}"]
    push(lab.source_registry, f"{lab.name}/three", "1", image((lab.name, 3), layers=0, shared=base))
    declare_two_sources(lab, "one", "three")
    lab.other_host.forget()
    assert lab.run("apply").code == 0
    assert lab.other_host.requests("HEAD .*/blobs/") == []
    assert sent(lab.destination, digest_of(base)) == len(base)


def test_old_state_without_sources_costs_one_head(lab):
    """Which source gave a blob is unknown there, so it is asked once."""
    content = lab.push("a", "1", image(1, layers=1))
    lab.declare("a", "referrers: false")
    assert lab.run("apply").code == 0
    exported = lab.run("state", "export").stdout
    lines = [json.loads(line) for line in exported.splitlines()]
    lab.write("old.jsonl", "".join(json.dumps({key: value for key, value in line.items() if key != "sources"}) + "\n" for line in lines))
    assert any("sources" in line for line in lines)
    shutil.rmtree(lab.folder / ".imgsync")
    assert lab.run("state", "import", "old.jsonl").code == 0
    lab.push("b", "1", content)
    lab.declare("a b", "referrers: false")
    lab.source.forget()

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["blobs_mounted"] == len(content.all_blobs)
    assert len(lab.source.requests("HEAD .*/blobs/")) == len(content.all_blobs)
