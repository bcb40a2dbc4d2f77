"""Registries may name one manifest by digests of different algorithms."""

from __future__ import annotations

import hashlib

import pytest

from tests import switches
from tests.support.images import Image, image


def sha512_of(content: Image) -> str:
    """Return the sha512 digest of the manifest."""
    return f"sha512:{hashlib.sha512(content.raw).hexdigest()}"


def name_by_sha512(proxy, content: Image, tag: str = "1") -> None:
    """Make the registry behind *proxy* name *content* by its sha512 digest."""
    digest = sha512_of(content)
    proxy.add(switches.headers(Docker_Content_Digest=digest), target=f"/manifests/{tag}$")
    served = {"Content-Type": content.media_type, "Docker-Content-Digest": digest}
    proxy.add(switches.Respond(200, content.raw, headers=served), method="GET", target=f"/manifests/{digest}$")


@pytest.mark.row("DIG-11")
@pytest.mark.parametrize("side", ["source", "destination"])
def test_image_known_by_another_algorithm_converges(side, lab):
    """With a state, with --refresh, in verify, without a state, and immutable."""
    content = lab.push("app", "1", image(1))
    name_by_sha512(getattr(lab, side), content)
    lab.declare("app", "immutable: ['1']")

    assert lab.run("apply").code == 0
    lab.assert_served("app", "1", content)
    for arguments in (["apply"], ["apply", "--refresh"], ["apply", "--state", "other"], ["apply", "--state", "other"]):
        ran = lab.run(*arguments, "-o", "json")
        assert (ran.code, ran.json["summary"]["kept"], ran.json["summary"]["copied"]) == (0, 1, 0), (arguments, ran.stdout)
    assert lab.run("verify").code == 0


def test_other_bytes_differ_in_any_algorithm(lab):
    """A digest of another algorithm is compared with the bytes, not believed."""
    content = lab.push("app", "1", image(1))
    name_by_sha512(lab.source, content)
    lab.push_to_destination("app", "1", image(2))
    lab.declare("app")

    assert lab.run("apply", "-o", "json").json["summary"]["copied"] == 1
    lab.assert_served("app", "1", content)


@pytest.mark.parametrize("deletes_tags", [True, False])
def test_tag_known_by_another_algorithm_is_pruned(deletes_tags, lab):
    """It is the tag that imgsync pushed."""
    content = lab.push("app", "1", image(1))
    lab.push("app", "2", image(2))
    name_by_sha512(lab.source, content)
    lab.declare("app", "prune: true")
    assert lab.run("apply").code == 0
    lab.declare("app", "prune: true\ntags: {names: ['2']}")
    if deletes_tags:
        lab.destination.add(switches.status(202), method="DELETE", target="/manifests/1$")

    ran = lab.run("apply", "-o", "json")

    assert (ran.code, ran.json["summary"]["deleted"]) == (0, 1), ran.stdout
    assert deletes_tags or "1" not in lab.served_tags("app")
