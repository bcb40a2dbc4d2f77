"""Signatures that change under the same tag are seen by the next run."""

from __future__ import annotations

import json

import pytest

from imgsync.images.referrer_tags import parse_note
from tests import switches
from tests.images.test_referrers import cosign_tag, fallback_of, listed_by, named, push_fallback, signature
from tests.policy.test_signatures import SIGNED, trusting
from tests.support.images import artifact, image, index, push
from tests.support.signing import signature_image, signer, simple


def source_heads(lab) -> list[str]:
    """Return the tags that the source was asked for by HEAD."""
    return sorted(one.rpartition("/")[2] for one in lab.source.requests("HEAD .*/manifests/"))


def assert_kept_for_one_head_each(lab, *tags: str) -> None:
    """Assert that the next run keeps the image, for one HEAD of each of *tags*."""
    lab.source.forget()
    lab.destination.forget()
    ran = lab.run("apply", "-o", "json")
    assert (ran.code, ran.json["summary"]["kept"]) == (0, 1), ran.stdout
    assert source_heads(lab) == sorted(tags)
    assert lab.source.requests("GET .*/manifests/|/blobs/|/referrers/") == []
    assert lab.destination.seen == []


@pytest.mark.row("SIG-07")
@pytest.mark.parametrize("settings", ["", "tags: {names: ['1']}"], ids=["listed", "named"])
@pytest.mark.parametrize("suffix", ["sig", "att", "sbom"])
def test_replaced_signature_is_replaced(settings, suffix, lab):
    """Also if the new one lacks what the old one had; then a run costs one HEAD more."""
    root = lab.push("app", "1", image(1))
    tag = cosign_tag(root, suffix)
    lab.push("app", tag, signature(root, "ada"))
    lab.declare("app", settings)
    assert lab.run("apply").code == 0
    assert_kept_for_one_head_each(lab, "1", tag)
    again = lab.push("app", tag, signature(root, "grace"))

    planned = lab.run("plan", "-o", "json").json["changes"][0]
    ran = lab.run("apply", "-o", "json")

    assert (planned["action"], planned["reason"].partition(";")[0]) == ("update", "1 referrer not as at the source")
    assert (ran.code, ran.json["summary"]["copied"]) == (0, 1), ran.stderr
    assert lab.served_manifest("app", tag) == again.raw
    assert_kept_for_one_head_each(lab, "1", tag)
    assert lab.run("verify").code == 0


def test_changed_fallback_index_is_replaced(lab):
    """What imgsync pushed becomes what the source has; an added entry of someone else stays."""
    root = lab.push("app", "1", image(1))
    tag = cosign_tag(root).removesuffix(".sig")
    one, two, three = (lab.push("app", "", artifact(name, subject=root)) for name in ("one", "two", "three"))
    push_fallback(lab.source_registry, f"{lab.name}/app", root, one)
    lab.declare("app")
    assert lab.run("apply").code == 0
    assert_kept_for_one_head_each(lab, "1", tag)

    raw = push_fallback(lab.source_registry, f"{lab.name}/app", root, two)
    assert lab.run("apply", "-o", "json").json["summary"]["copied"] == 1
    assert lab.served_manifest("app", tag) == raw

    own = lab.push_to_destination("app", "", artifact("own", subject=root))
    push_fallback(lab.destination_registry, f"m/{lab.name}/app", root, two, own)
    push_fallback(lab.source_registry, f"{lab.name}/app", root, three)
    assert lab.run("apply", "-o", "json").json["summary"]["copied"] == 1
    assert named(fallback_of(lab.destination_registry, f"m/{lab.name}/app", root)) == {two.digest, own.digest, three.digest}


@pytest.mark.parametrize("settings", ["", "platforms: [linux/amd64]"], ids=["all", "one platform"])
def test_replaced_signature_of_a_platform_is_seen(settings, lab):
    """The state knows which platforms are signed."""
    root = lab.push("app", "1", index(1))
    tag = cosign_tag(root.children[0])
    lab.push("app", tag, signature(root.children[0], "ada"))
    lab.declare("app", settings)
    assert lab.run("apply").code == 0
    assert_kept_for_one_head_each(lab, "1", tag)
    again = lab.push("app", tag, signature(root.children[0], "grace"))

    assert lab.run("apply", "-o", "json").json["summary"]["copied"] == 1
    assert lab.served_manifest("app", tag) == again.raw
    assert_kept_for_one_head_each(lab, "1", tag)


@pytest.mark.row("SIG-07")
def test_replaced_signature_of_someone_else_stays(lab):
    """Only what imgsync pushed itself is replaced."""
    root = lab.push("app", "1", image(1))
    lab.push("app", cosign_tag(root), signature(root, "ada"))
    lab.declare("app")
    assert lab.run("apply").code == 0
    own = lab.push_to_destination("app", cosign_tag(root), signature(root, "ada", "us"))
    lab.push("app", cosign_tag(root), signature(root, "grace"))

    ran = lab.run("apply")

    assert ran.code == 0
    assert "left unchanged" in ran.events("referrers.incomplete")[0]["reason"]
    assert lab.served_manifest("app", cosign_tag(root)) == own.raw


def test_signature_that_cannot_be_copied_is_tried_again(lab):
    """The state does not believe that it is there."""
    root = lab.push("app", "1", image(1))
    lab.push("app", cosign_tag(root), signature(root, "ada"))
    lab.declare("app")
    assert lab.run("apply").code == 0
    again = lab.push("app", cosign_tag(root), signature(root, "grace"))
    lab.destination.add(switches.status(400, error="MANIFEST_INVALID"), method="PUT", target="/manifests/")
    assert lab.run("apply").code == 1
    lab.destination.clear()

    assert lab.run("apply", "-o", "json").json["summary"]["copied"] == 1
    assert lab.served_manifest("app", cosign_tag(root)) == again.raw


def test_fallback_tag_beside_the_api_costs_nothing(knowing, lab):
    """If the source has the referrers API, the tag does not matter."""
    root = push(knowing, f"{lab.name}/app", "1", image(1))
    sbom = push(knowing, f"{lab.name}/app", "", artifact(subject=root))
    push_fallback(knowing, f"{lab.name}/app", root, sbom)
    lab.workplace.allow_plain_http(knowing, lab.destination)
    lab.workplace.mirror("a", source=f"{knowing}/{lab.name}/app", destinations=[f"{lab.destination}/m"])
    assert lab.run("apply").code == 0
    assert named(listed_by(knowing, f"{lab.name}/app", root)) == {sbom.digest}
    knowing.forget()

    assert lab.run("apply", "-o", "json").json["summary"]["kept"] == 1

    assert knowing.requests("HEAD") == [f"HEAD /v2/{lab.name}/app/manifests/1"]
    assert knowing.requests("/referrers/") == []


def test_state_of_an_earlier_version_is_completed(lab):
    """It knows the tags without their digests; the first run asks once."""
    root = lab.push("app", "1", image(1))
    lab.push("app", cosign_tag(root), signature(root, "ada"))
    lab.declare("app")
    assert lab.run("apply").code == 0
    lines = lab.run("state", "export").stdout.splitlines()
    old = [json.dumps(line | {"tags": f"{cosign_tag(root)}="}) if (line := json.loads(text)).get("kind") == "referrers" else text for text in lines]
    lab.write("old.jsonl", "\n".join(old) + "\n")
    assert lab.run("state", "import", "old.jsonl", "--state", "old").code == 0

    assert lab.run("apply", "--state", "old", "-o", "json").json["summary"]["kept"] == 1

    note = next(line for text in lab.run("state", "export", "--state", "old").stdout.splitlines() if (line := json.loads(text)).get("kind") == "referrers")
    assert parse_note(note["tags"]) == {cosign_tag(root): signature(root, "ada").digest}


def test_replaced_signature_must_meet_the_policy(lab):
    """A kept image is checked again; a signature that does not count is not copied."""
    root = lab.push("app", "1", image(1))
    good = lab.push("app", cosign_tag(root), signature_image(simple(signer(), root.digest, f"{lab.source.host}/{lab.name}/app")))
    lab.declare("app", SIGNED, registries=trusting(prod=signer()))
    assert lab.run("apply").code == 0
    lab.push("app", cosign_tag(root), signature(root, "eve"))

    ran = lab.run("apply", "-o", "json")

    assert (ran.code, ran.json["summary"]["refused"]) == (1, 1)
    assert lab.served_manifest("app", cosign_tag(root)) == good.raw
