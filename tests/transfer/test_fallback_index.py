"""The fallback tag lists referrers, and never keeps an image from its tag."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests import switches
from tests.images.test_referrers import cosign_tag, fallback_of, named, push_fallback, signature
from tests.plan.test_verify import Behind
from tests.support.images import artifact, image, index
from tests.support.wire import Answer, Request


class ReadsTagAsDigest(switches.Switch):
    """Read the tag `sha256-…` as the digest `sha256:…`, as GitLab's registry does."""

    def request(self, request: Request) -> Request | Answer:
        return replace(request, target=re.sub(r"/manifests/sha256-([0-9a-f]{64})$", r"/manifests/sha256:\1", request.target))


def push_signed(lab, content):
    """Push an image with a listed referrer to the source; return both."""
    root = lab.push("app", "1", content)
    sbom = lab.push("app", "", artifact(subject=root))
    push_fallback(lab.source_registry, f"{lab.name}/app", root, sbom)
    return root, sbom


def fallback(lab, root) -> set[object]:
    """Return what the destination lists by the fallback tag of *root*."""
    return named(fallback_of(lab.destination_registry, f"m/{lab.name}/app", root))


@pytest.mark.row("DIG-17")
@pytest.mark.parametrize("content", [image(1), index(1)], ids=["image", "index"])
def test_destination_that_reads_the_tag_as_a_digest_gets_the_image(content, lab):
    """With a warning; its referrers are there, and later runs and `verify` are content."""
    root, sbom = push_signed(lab, content)
    lab.destination.add(ReadsTagAsDigest(), target="/manifests/")
    lab.declare("app")

    ran = lab.run("apply")

    assert ran.code == 0, ran.stdout
    assert "reads this tag as a digest" in ran.events("referrers.incomplete")[0]["reason"]
    lab.assert_served("app", "1", root)
    assert lab.served_manifest("app", sbom.digest) == sbom.raw
    assert lab.run("apply", "--refresh", "-o", "json").json["summary"]["kept"] == 1
    assert lab.run("verify").code == 0


def test_source_that_reads_the_tag_as_a_digest_names_no_referrers(lab):
    """The platforms of an index are not its referrers."""
    root = lab.push("app", "1", index(1))
    lab.source.add(ReadsTagAsDigest(), target="/manifests/")
    lab.source.add(switches.status(403), target="tags/list")
    lab.declare("app", "tags: {names: ['1']}")

    ran = lab.run("apply")

    assert (ran.code, ran.events("referrers.incomplete")) == (0, [])
    lab.assert_served("app", "1", root)


def test_refused_fallback_tag_keeps_no_image_from_its_tag(lab):
    """The failure is reported, and the next run tries again."""
    root, sbom = push_signed(lab, image(1))
    lab.destination.add(switches.status(503), method="PUT", target="/manifests/sha256-")
    lab.declare("app", "prune: true")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["outcomes"][0]["error"].startswith("the image is at the destination, but not all of its referrers: push manifest")
    lab.assert_served("app", "1", root)
    lab.destination.clear()
    assert lab.run("apply", "-o", "json").json["summary"]["copied"] == 1
    assert fallback(lab, root) == {sbom.digest}
    lab.declare("app", "prune: true\ntags: {include: ['2'], at_least: 0}")
    assert lab.run("apply", "-o", "json").json["summary"]["deleted"] == 1


def test_deleted_referrers_are_left_out_of_the_list(lab):
    """A registry that checks what an index lists takes the new list."""
    root, sbom = push_signed(lab, image(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    Behind(lab.destination_registry, f"m/{lab.name}/app").forget_manifest(sbom.digest)
    other = lab.push("app", "", artifact("other", subject=root))
    push_fallback(lab.source_registry, f"{lab.name}/app", root, other)

    ran = lab.run("apply", "--refresh")

    assert ran.code == 0, ran.stdout
    assert fallback(lab, root) == {other.digest}


def test_listed_referrer_that_was_deleted_is_missing(lab):
    """`verify` finds it, and `--refresh` copies it again."""
    root, sbom = push_signed(lab, image(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    Behind(lab.destination_registry, f"m/{lab.name}/app").forget_manifest(sbom.digest)

    assert lab.run("verify").code == 1
    assert lab.run("apply", "--refresh").code == 0
    assert lab.served_manifest("app", sbom.digest) == sbom.raw
    assert fallback(lab, root) == {sbom.digest}


@pytest.mark.row("SIG-07")
def test_refused_referrer_keeps_no_image_from_its_tag(lab):
    """Other referrers arrive; a transient failure leaves the tag for the next run."""
    root, sbom = push_signed(lab, image(1))
    signed = lab.push("app", cosign_tag(root), signature(root, "ada"))
    lab.declare("app")
    lab.destination.add(switches.status(503), method="PUT", target=f"/manifests/{sbom.digest}$")
    assert lab.run("apply").code == 1
    assert lab.served_manifest("app", "1") is None
    lab.destination.clear()
    lab.destination.add(switches.status(400, error="MANIFEST_INVALID"), method="PUT", target=f"/manifests/{sbom.digest}$")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "not all of its referrers" in ran.json["outcomes"][0]["error"]
    assert "set `referrers: false`" in lab.run("apply").stdout
    lab.assert_served("app", "1", root)
    assert lab.served_manifest("app", cosign_tag(root)) == signed.raw


@pytest.mark.parametrize("lost", ["manifest", "blob"])
def test_damaged_referrer_keeps_no_image_from_its_tag(lost, lab):
    """What the source cannot serve fails alone."""
    root, sbom = push_signed(lab, image(1))
    signed = lab.push("app", cosign_tag(root), signature(root, "ada"))
    if lost == "blob":
        (blob,) = (digest for digest, content in sbom.blobs.items() if content != b"{}")
        lab.source.add(switches.status(404), target=f"/blobs/{blob}$")
    else:
        lab.source.add(switches.Respond(200, "{}"), target=f"/manifests/{sbom.digest}$")
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "not all of its referrers" in ran.json["outcomes"][0]["error"]
    lab.assert_served("app", "1", root)
    assert lab.served_manifest("app", cosign_tag(root)) == signed.raw
