"""
Only images signed by the operator's signers are copied.

They are checked in the plan and before the copy. tests/policy/test_cosign.py has the forms of signatures, one by one.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from imgsync.config.registries import read_registries
from tests import switches
from tests.images.test_referrers import push_fallback
from tests.plan.test_saved import sealed
from tests.support.images import Image, digest_of, image, index, pull_raw, request
from tests.support.keyless import IDENTITY, ISSUER, Sigstore
from tests.support.signing import Signature, Signer, bundle_artifact, sig_tag, signature_image, signer, simple, statement
from tests.support.witness import raw_manifest

ROOT = Path(__file__).parents[2]
SIGNED = "require: {signatures: {keys: [prod]}}"
NONE = "requirement not met: no signature by prod: none found"


def trusting(**keys: Signer) -> str:
    """Return the part of registries.yaml with public *keys*."""
    return f"keys: {json.dumps({name: {'pem': one.pem} for name, one in keys.items()})}\n"


def refused(result) -> list[str]:
    """Return the reasons of refused changes, in their order."""
    document = result.json
    return [
        (one.get("error") or one["reason"]).removesuffix(f" ({one.get('hint')})")
        for one in document.get("outcomes") or document["changes"]
        if one["action"] == "refuse" or one.get("result") == "refused"
    ]


@pytest.fixture
def declared(lab) -> None:
    """Declare one mirror whose images must be signed by the key prod."""
    lab.declare("app", SIGNED, registries=trusting(prod=signer()))


@pytest.fixture
def sign(lab) -> Callable[..., None]:
    """Push signatures of a digest, by default a good one."""

    def push_signatures(digest: str, *signatures: Signature) -> None:
        good = simple(signer(), digest, f"{lab.source.host}/{lab.name}/app")
        lab.push("app", sig_tag(digest), signature_image(*(signatures or [good])))

    return push_signatures


@pytest.fixture
def untouched(lab) -> Callable[[], bool]:
    """Return whether the destination lacks the repository under test."""
    return lambda: request(lab.destination_registry, "GET", f"/v2/m/{lab.name}/app/tags/list")[0] == 404


@pytest.mark.row("SIG-01")
def test_verified_digest_is_copied(lab, declared, sign):
    """A tag that moves to an unsigned image after the check changes nothing."""
    content = lab.push("app", "1", image((lab.name, "good")))
    sign(content.digest)
    evil = lab.push("app", "evil", image((lab.name, "evil")))
    answer = switches.Respond(200, evil.raw, headers={"Content-Type": evil.media_type, "Docker-Content-Digest": evil.digest})
    # From the second question on, the tag and even the digest give the other image; the tag `evil` always does.
    lab.source.add(answer, method="GET", target=f"/manifests/(1|{content.digest})$", nth=tuple(range(2, 9)))
    lab.source.add(answer, method="GET", target="/manifests/evil$")

    result = lab.run("apply", "-o", "json")

    served = lab.served_manifest("app", "1")
    assert served == content.raw
    assert lab.served_manifest("app", evil.digest) is None
    assert refused(result) == [NONE]
    assert result.code == 1


@pytest.mark.row("SIG-01")
def test_saved_plan_does_not_replace_the_check(lab, declared, sign, untouched):
    """An edited plan can neither copy nor record unsigned images."""
    content = lab.push("app", "1", image((lab.name, "good"), layers=1))
    sign(content.digest)
    evil = lab.push("other", "1", image((lab.name, "evil"), layers=1))
    lab.push("app", "", evil)
    assert lab.run("plan", "--out", "plan.json").code == 0
    document = json.loads((lab.folder / "plan.json").read_text())
    document["changes"][0]["source_digest"] = evil.digest
    (lab.folder / "forged.json").write_text(sealed(document))
    lab.source.add(switches.Respond(200, evil.raw, headers={"Content-Type": evil.media_type}), method="GET", target=f"/manifests/{content.digest}$")

    forged = lab.run("apply", "--plan", "forged.json", "-o", "json")
    swapped = lab.run("apply", "--plan", "plan.json", "-o", "json")

    assert refused(forged) == [NONE]
    assert (forged.code, swapped.code) == (1, 1)
    assert swapped.json["summary"]["copied"] == 0
    assert "expected" in swapped.json["outcomes"][0]["error"], "the registry serves another manifest for the digest"
    assert untouched()
    lab.source.clear()
    assert lab.run("apply", "--plan", "plan.json", "-o", "json").json["summary"]["copied"] == 1


@pytest.mark.row("SIG-01")
def test_saved_keep_is_not_recorded_as_checked(lab, declared):
    """The next plan finds the unsigned image."""
    evil = lab.push("app", "1", image((lab.name, "evil"), layers=1))
    lab.push_to_destination("app", "1", evil)
    assert lab.run("plan", "--out", "plan.json").code == 1
    document = json.loads((lab.folder / "plan.json").read_text())
    document["changes"][0] |= {"action": "keep", "reason": "same digest at the destination"}
    document["summary"] |= {"keep": 1, "refuse": 0}
    (lab.folder / "forged.json").write_text(sealed(document))

    applied = lab.run("apply", "--plan", "forged.json", "-o", "json")

    assert applied.json["summary"]["kept"] == 1
    assert refused(lab.run("plan", "-o", "json")) == [f"{NONE}; the destination keeps its image"]


def test_state_does_not_replace_the_check(lab, declared, sign):
    """A record can suppress a copy, never cause one; --refresh checks."""
    content = lab.push("app", "1", image((lab.name, 1), layers=1))
    sign(content.digest)
    assert lab.run("apply").code == 0
    evil = lab.push("app", "2", image((lab.name, 2), layers=1))
    lab.push_to_destination("app", "2", evil)
    line = next(json.loads(line) for line in lab.run("state", "export", "-").stdout.splitlines() if '"digest"' in line)

    asked = lab.run("plan", "-o", "json", "--all")

    assert "require=" in line["selection"]
    assert refused(asked) == [f"{NONE}; the destination keeps its image"]
    assert asked.json["summary"]["keep"] == 1
    assert lab.run("apply", "-o", "json").json["summary"]["kept"] == 1
    assert ":2" not in lab.run("state", "list").stdout, "what was refused is not remembered"


@pytest.mark.row("SIG-02")
def test_tagged_index_must_be_signed(lab, declared, sign, untouched):
    """Signatures of its children do not cover another index around them."""
    content = lab.push("app", "1", index((lab.name, 1)))
    for child in content.children:
        sign(child.digest)

    result = lab.run("apply", "-o", "json")

    assert refused(result) == [NONE]
    assert result.code == 1
    assert untouched()
    sign(content.digest)
    assert lab.run("apply").code == 0
    lab.assert_served("app", "1", content)


@pytest.mark.row("SIG-02")
def test_signature_of_the_source_index_covers_its_platforms(lab, sign):
    """The reduced index needs no signature of its own."""
    content = lab.push("app", "1", index((lab.name, 1)))
    sign(content.digest)
    lab.declare("app", f"{SIGNED}\nplatforms: [linux/arm64]", registries=trusting(prod=signer()))

    assert lab.run("apply").code == 0
    served = json.loads(raw_manifest(lab.destination_registry, f"m/{lab.name}/app", "1"))
    assert [one["digest"] for one in served["manifests"]] == [content.children[1].digest]


@pytest.mark.row("SIG-03")
def test_verifiers_have_minimum_versions(tmp_path, monkeypatch):
    """cryptography and sigstore without known vulnerabilities; an older sigstore is not used."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "cryptography>=46.0.5" in project["dependencies"]
    assert project["optional-dependencies"]["sigstore"] == ["sigstore>=4.2,<5"]
    (tmp_path / "root.json").write_text(Sigstore().trust_root)
    file = tmp_path / "registries.yaml"
    file.write_text(json.dumps({"version": 1, "identities": {"ci": {"identity": IDENTITY, "issuer": ISSUER, "trust_root": str(tmp_path / "root.json")}}}))
    assert read_registries(str(file), environ={})[1] == []

    monkeypatch.setattr("importlib.metadata.version", lambda name: "4.1.9")

    (fault,) = read_registries(str(file), environ={})[1]
    assert (fault.path, fault.message) == ("identities.ci", "identities need sigstore 4.2 or newer; 4.1.9 is installed")
    assert fault.hint == "install imgsync with its extra `sigstore`; in a clone: pip install '.[sigstore]'"


@pytest.mark.row("SIG-04")
def test_only_the_exact_identity_counts(lab):
    """With the operator's trust root and without network, a similar name is refused."""
    sigstore = Sigstore()
    (lab.folder / "root.json").write_text(sigstore.trust_root)
    for tag, who in (("good", IDENTITY), ("evil", IDENTITY.replace("company", "company-evil"))):
        content = lab.push("app", tag, image((lab.name, tag), layers=1))
        kept = lab.push("app", "", bundle_artifact(content, sigstore.bundle(statement(content.digest), identity=who)))
        push_fallback(lab.source_registry, f"{lab.name}/app", content, kept)
    person = json.dumps({"release": {"identity": IDENTITY, "issuer": ISSUER, "trust_root": "root.json"}})
    lab.declare("app", "require: {signatures: {identities: [release]}}", registries=f"identities: {person}\n")

    result = lab.run("apply", "-o", "json")

    (reason,) = refused(result)
    assert reason.startswith("requirement not met: no signature by release: of 1 found, 1 not verified (Certificate's SANs do not match ")
    assert "company-evil" in reason
    assert result.code == 1
    assert json.loads(request(lab.destination_registry, "GET", f"/v2/m/{lab.name}/app/tags/list")[2])["tags"] is not None
    assert lab.served_manifest("app", "evil") is None
    assert lab.served_manifest("app", "good") is not None


@pytest.mark.row("SIG-05")
def test_untrusted_signatures_are_refused_with_a_reason(lab, declared, sign, untouched):
    """Other keys, digests or repositories, garbage and huge payloads; nothing is copied."""
    content = lab.push("app", "1", image(lab.name, layers=1))
    own = digest_of(content.raw)
    other = simple(signer("other"), own, f"x/{lab.name}/app")
    huge = simple(signer(), own, "", payload=b" " * (300 << 10) + b"{}")
    sign(own, other, simple(signer(), f"sha256:{'0' * 64}", ""), Signature(b"{}", "%"), huge)

    result = lab.run("apply", "-o", "json")

    (reason,) = refused(result)
    assert reason.startswith("requirement not met: no signature by prod: of 4 found, ")
    assert "1 by another key or of other content" in reason
    assert "1 damaged" in reason
    assert result.code == 1
    assert untouched()


@pytest.mark.row("SIG-06")
@pytest.mark.parametrize("status", [404, 500])
def test_unreadable_signature_refuses_the_image(lab, declared, sign, status):
    """It is retried, then refused with the response; other images continue."""
    for tag in ("1", "2"):
        content = lab.push("app", tag, image((lab.name, tag), layers=1))
        sign(content.digest)
    payload = json.loads(pull_raw(lab.source_registry, f"{lab.name}/app", sig_tag(content.digest)))["layers"][0]["digest"]
    lab.source.add(switches.status(status), target=f"/blobs/{payload}$")

    result = lab.run("apply", "-o", "json")

    (reason,) = refused(result)
    assert reason.startswith(f"requirement not met: cannot be verified now: pull blob {lab.source.host}/{lab.name}/app@{payload} (source): {status}")
    assert len(lab.source.recorded(f"/blobs/{payload}$")) == (2 if status == 500 else 1), "as often as `retry` says"
    assert result.code == 1
    assert lab.served_manifest("app", "1") is not None
    assert lab.served_manifest("app", "2") is None
    lab.source.clear()
    assert lab.run("apply").code == 0, "another run asks again"


@pytest.mark.row("SIG-06")
def test_altered_or_hidden_signature_refuses_the_image(lab, declared, sign, untouched):
    """A flipped byte, or a tag list without the signature."""
    content = lab.push("app", "1", image(lab.name, layers=1))
    sign(content.digest)
    payload = json.loads(pull_raw(lab.source_registry, f"{lab.name}/app", sig_tag(content.digest)))["layers"][0]["digest"]
    lab.source.add(switches.corrupt_byte(9), target=f"/blobs/{payload}$")
    flipped = lab.run("plan", "-o", "json")
    lab.source.clear()
    lab.source.add(switches.Respond(200, {"name": f"{lab.name}/app", "tags": ["1"]}), target="/tags/list")
    hidden = lab.run("apply", "-o", "json")

    assert refused(flipped) == ["requirement not met: no signature by prod: of 1 found, 1 damaged in transit"]
    assert refused(hidden) == [NONE]
    assert (flipped.code, hidden.code) == (1, 1)
    assert untouched()


@pytest.mark.row("SIG-07")
def test_signature_arrives_before_the_tag(lab, declared, sign):
    """It verifies at the destination as well."""
    content = lab.push("app", "1", image(lab.name, layers=1))
    sign(content.digest)

    assert lab.run("apply").code == 0
    pushed = [one.path.rpartition("/")[2] for one in lab.destination.recorded("/manifests/") if one.method == "PUT"]
    assert pushed[-1] == "1"
    assert sig_tag(content.digest) in pushed
    lab.assert_served("app", sig_tag(content.digest), signature_image(simple_again(lab.source_registry, lab.name, content)))


def simple_again(registry, name: str, content: Image) -> Signature:
    """Return the signature that the source serves."""
    layer = json.loads(pull_raw(registry, f"{name}/app", sig_tag(content.digest)))["layers"][0]
    payload = request(registry, "GET", f"/v2/{name}/app/blobs/{layer['digest']}")[2]
    return Signature(payload, layer["annotations"]["dev.cosignproject.cosign/signature"])


@pytest.mark.row("SIG-08")
def test_signature_for_another_repository_needs_signed_as(lab, sign, untouched):
    """It counts only if the operator allows it for the key."""
    content = lab.push("app", "1", image(lab.name, layers=1))
    sign(content.digest, simple(signer(), content.digest, "ghcr.io/company/build"))
    lab.declare("app", SIGNED, registries=trusting(prod=signer()))
    without = lab.run("apply", "-o", "json")
    assert untouched()
    leave = {"prod": {"pem": signer().pem, "signed_as": ["ghcr.io/company"]}}
    lab.declare("app", SIGNED, registries=f"keys: {json.dumps(leave)}\n")

    assert refused(without) == [
        "requirement not met: no signature by prod: of 1 found, 1 for another repository, ghcr.io/company/build (`signed_as` in registries.yaml can allow it)"
    ]
    assert lab.run("apply").code == 0
