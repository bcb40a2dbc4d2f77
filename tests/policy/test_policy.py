"""`require`: checked at the source before a copy, with few requests."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests import switches
from tests.images.test_referrers import push_fallback
from tests.policy.test_signatures import NONE, SIGNED, refused, trusting
from tests.support.images import Image, artifact, image, index, push, request
from tests.support.signing import Signer, bundle, bundle_artifact, sig_tag, signature_image, signer, simple, statement

SPDX = "application/spdx+json"


@pytest.fixture
def tags(lab) -> Callable[[], list[str]]:
    """Return the destination's tags of the repository under test."""

    def listed() -> list[str]:
        answer = json.loads(request(lab.destination_registry, "GET", f"/v2/m/{lab.name}/app/tags/list")[2])
        return sorted(answer.get("tags") or [])

    return listed


def sign(registry: object, repository: str, content: Image, *, by: Signer | None = None, reference: str = "") -> None:
    push(registry, repository, sig_tag(content.digest), signature_image(simple(by or signer(), content.digest, reference)))


def test_image_larger_than_allowed_is_refused_in_the_plan(lab, tags):
    """The compressed size of all copied platforms counts; other images continue."""
    content = lab.push("app", "large", index((lab.name, 1), layer_bytes=3000))
    lab.push("app", "small", image((lab.name, 2), layers=1))
    lab.declare("app", "require: {max_size: 8KiB}")

    planned = lab.run("plan", "-o", "json")
    applied = lab.run("apply")

    size = f"{content.size_bytes / 1024:.1f} KiB"
    assert refused(planned) == [f"requirement not met: size {size} exceeds max_size 8.0 KiB"]
    assert (planned.code, applied.code) == (1, 1)
    (line,) = applied.events("image.refused")
    assert line["reason"] == refused(planned)[0]
    assert tags() == ["small"]
    lab.declare("app", "require: {max_size: 8KiB}\nplatforms: [linux/amd64]")
    assert lab.run("apply").code == 0


def test_media_type_that_is_not_allowed_is_refused(lab, tags):
    """Each part of the image must be of an allowed type."""
    lab.push("app", "image", index((lab.name, 1)))
    lab.push("app", "chart", artifact(lab.name, artifact_type="application/vnd.cncf.helm.chart.content.v1.tar+gzip"))
    lab.declare("app", "require: {media_types: ['application/vnd.oci.image.**', 'application/vnd.docker.**']}")

    result = lab.run("apply", "-o", "json")

    types = ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "application/vnd.oci.empty.v1+json")
    assert refused(result) == [f"requirement not met: {'; '.join(f'media type {one} is not in media_types' for one in types)}"]
    assert tags() == ["image"]


@pytest.mark.parametrize(
    ("wanted", "make", "tag"),
    [
        (SPDX, lambda content: artifact("sbom", artifact_type=SPDX, subject=content), ""),
        ("sbom", lambda content: artifact("sbom", artifact_type=SPDX, subject=content), ""),
        ("sbom", lambda _: artifact("sbom", artifact_type="text/spdx+json"), "sbom"),
        (
            "https://spdx.dev/Document",
            lambda content: bundle_artifact(content, bundle(signer(), b"{}"), predicate="https://spdx.dev/Document"),
            "",
        ),
    ],
    ids=["type", "word", "cosign tag", "attested"],
)
def test_required_referrers_are_checked(lab, tags, wanted, make, tag):
    """By the fallback tag or cosign's tag; an image without them is refused."""
    with_it = lab.push("app", "with", image((lab.name, 1), layers=1))
    lab.push("app", "without", image((lab.name, 2), layers=1))
    kept = lab.push("app", tag and sig_tag(with_it.digest, tag), make(with_it))
    if not tag:
        push_fallback(lab.source_registry, f"{lab.name}/app", with_it, kept)
    lab.declare("app", f"require: {{artifacts: ['{wanted}']}}")

    result = lab.run("apply", "-o", "json")

    assert refused(result) == [f"requirement not met: no referrer of type {wanted}"]
    assert "with" in tags()
    assert "without" not in tags()


def test_bundle_behind_the_referrers_api_is_a_signature(knowing, lab):
    """A bundle of a newer cosign counts, is copied with its image, and costs no extra request."""
    content = push(knowing.host, f"{lab.name}/app", "1", index((lab.name, 1)))
    push(knowing.host, f"{lab.name}/app", "", bundle_artifact(content, bundle(signer(), statement(content.digest))))
    other = push(knowing.host, f"{lab.name}/app", "2", image((lab.name, 2), layers=1))
    knowing.add(switches.status(503), target=f"/referrers/{other.digest}")
    lab.workplace.allow_plain_http(knowing, lab.destination_registry)
    file = lab.folder / "registries.yaml"
    lab.workplace.mirror("a", source=f"{knowing.host}/{lab.name}/app", destinations=[f"{lab.destination_registry.host}/m"], tags={"names": ["1"]})
    knowing.forget()
    assert lab.run("plan").code == 0
    without = [one.target for one in knowing.seen]
    knowing.forget()
    file.write_text(json.dumps(json.loads(file.read_text()) | {"keys": {"prod": {"pem": signer().pem}}}))
    settings = {"require": {"signatures": {"keys": ["prod"]}}, "retry": {"attempts": 1}}
    lab.workplace.mirror("a", source=f"{knowing.host}/{lab.name}/app", destinations=[f"{lab.destination_registry.host}/m"], tags={"names": ["1"]}, **settings)
    assert lab.run("plan").code == 0
    signed = [one.target for one in knowing.seen]
    lab.workplace.mirror("a", source=f"{knowing.host}/{lab.name}/app", destinations=[f"{lab.destination_registry.host}/m"], **settings)

    result = lab.run("apply", "-o", "json")

    assert len(signed) == len(without) + 1, "the bundle's own bytes"
    (reason,) = refused(result)
    assert reason.startswith(f"requirement not met: cannot be verified now: list referrers of {knowing.host}/{lab.name}/app@{other.digest} (source): 503")
    lab.assert_served("app", "1", content)
    assert lab.served_manifest("app", content.digest.replace(":", "-")) is not None


def test_any_signer_and_all_requirements(lab, tags):
    """One of several signers is enough; the operator's requirements apply as well."""
    registry_settings = trusting(prod=signer(), old=signer("old"))
    content = lab.push("app", "1", image(lab.name, layers=1))
    reference = f"{lab.source.host}/{lab.name}/app"
    both = signature_image(*(simple(signer(who), content.digest, reference) for who in ("other", "old")))
    lab.push("app", sig_tag(content.digest), both)
    lab.declare("app", "require: {signatures: {keys: [prod, old]}}", registries=f"{registry_settings}require: {{'{lab.source.host}': {{artifacts: [sbom]}}}}\n")
    lacking = lab.run("plan", "-o", "json")
    # The mirror's own demand can be dropped by a pull request; the operator's cannot.
    lab.declare("app", registries=f"{registry_settings}require: {{'{lab.source.host}/{lab.name}': {{signatures: {{keys: [prod]}}}}}}\n")
    dropped = lab.run("apply", "-o", "json")
    copied = lab.run("copy", f"{lab.source.host}/{lab.name}/app:1", f"{json.loads(dropped.stdout)['outcomes'][0]['destination']}", "-o", "json")
    assert tags() == []
    lab.declare("app", "require: {signatures: {keys: [prod, old]}}", registries=registry_settings)

    assert refused(lacking) == ["requirement not met: no referrer of type sbom"]
    assert refused(dropped) == ["requirement not met: no signature by prod: of 2 found, 2 by another key or of other content"]
    assert (copied.code, refused(copied)) == (1, refused(dropped))
    assert lab.run("apply").code == 0
    assert tags() != []


@pytest.mark.parametrize("immutable", ["[]", "['*']"], ids=["may move", "immutable"])
def test_changed_requirements_are_checked_for_mirrored_tags(lab, tags, immutable):
    """A mirrored tag is checked again after a change, and then costs a HEAD of its tag and of its signature."""
    content = lab.push("app", "1", image(lab.name, layers=1))
    tagged = f"immutable: {immutable}\ntags: {{names: ['1']}}"
    lab.declare("app", tagged)
    assert lab.run("apply").code == 0
    lab.declare("app", f"{tagged}\n{SIGNED}", registries=trusting(prod=signer()))
    unsigned = lab.run("apply", "-o", "json")
    sign(lab.source_registry, f"{lab.name}/app", content)
    signed = lab.run("apply", "-o", "json")
    lab.source.forget()
    again = lab.run("apply", "-o", "json")
    asked = [one.target for one in lab.source.recorded("/manifests/|/blobs/|/referrers/|/tags/")]
    lab.declare("app", f"{tagged}\n{SIGNED}", registries=trusting(prod=signer("new")))
    revoked = lab.run("apply", "-o", "json")

    assert refused(unsigned) == [f"{NONE}; the destination keeps its image"]
    assert (signed.code, again.code, again.json["summary"]["kept"]) == (0, 0, 1)
    assert sorted(asked) == ([] if immutable != "[]" else [f"/v2/{lab.name}/app/manifests/{tag}" for tag in ("1", sig_tag(content.digest))])
    assert refused(revoked)[0].startswith("requirement not met: no signature by prod: of 1 found, 1 by another key")
    assert "1" in tags()


def test_refresh_and_verify_check_again(lab):
    """A signature that was replaced is reported, also as drift, and is never copied."""
    content = lab.push("app", "1", image(lab.name, layers=1))
    sign(lab.source_registry, f"{lab.name}/app", content)
    lab.declare("app", SIGNED, registries=trusting(prod=signer()))
    assert lab.run("apply").code == 0
    assert lab.run("apply", "--refresh").code == 0
    lab.push("app", sig_tag(content.digest), signature_image(simple(signer("other"), content.digest, "")))

    refreshed = lab.run("plan", "--refresh", "-o", "json")
    verified = lab.run("verify", "-o", "json")

    assert refused(refreshed)[0].startswith("requirement not met: no signature by prod: of 1 found, 1 by another key")
    (finding,) = verified.json["findings"]
    assert (finding["condition"], finding["reason"]) == ("refused", refused(refreshed)[0])
    assert finding["hint"] == "have the image signed or changed as `require` says, or change `require` of the mirror"
    assert verified.code == 1
    assert refused(lab.run("apply", "-o", "json")) == refused(refreshed), "a plain run sees that the signature changed"
