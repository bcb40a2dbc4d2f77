"""Signatures, attestations and SBOMs are copied with their image and can be found."""

from __future__ import annotations

import json

import pytest

from tests import switches
from tests.support.embedded import embedded_registry
from tests.support.faults import FaultProxy
from tests.support.images import OCI, Image, artifact, digest_of, image, index, layer, pull_raw, push, request, to_json
from tests.support.signing import signature_image, signer, simple
from tests.switches.net import (
    Lagging,
)

SIGNATURE_LAYER = "application/vnd.dev.cosign.simplesigning.v1+json"
SBOM = "application/vnd.example.sbom.v1+json"


@pytest.fixture(scope="module")
def second_knowing_registry():
    """HOST:PORT of another registry with the referrers API."""
    with embedded_registry() as host:
        yield host


@pytest.fixture
def knowing_too(second_knowing_registry):
    """Another registry with the referrers API."""
    with FaultProxy(second_knowing_registry) as proxy:
        yield proxy


def cosign_tag(content: Image, suffix: str = "sig") -> str:
    return f"{content.digest.replace(':', '-')}.{suffix}"


def signature(content: Image, *signers: str) -> Image:
    """Return a cosign signature image: one layer per signed digest."""
    payloads = [
        to_json({"critical": {"image": {"docker-manifest-digest": content.digest}, "type": "cosign container image signature"}, "by": who}) for who in signers
    ]
    config = to_json({"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": [digest_of(one) for one in payloads]}})
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(config), "size": len(config)},
        "layers": [
            {"mediaType": SIGNATURE_LAYER, "digest": digest_of(one), "size": len(one), "annotations": {"dev.cosignproject.cosign/signature": "MEUCIQ=="}}
            for one in payloads
        ],
    }
    return Image(to_json(manifest), manifest["mediaType"], {digest_of(one): one for one in (*payloads, config)})


def fallback_of(registry: object, repository: str, subject: Image) -> list[dict[str, object]]:
    """Return what the fallback tag of *subject* lists."""
    raw = pull_raw(registry, repository, subject.digest.replace(":", "-"))
    return [] if raw is None else json.loads(raw)["manifests"]


def push_fallback(registry: object, repository: str, subject: Image, *referrers: Image) -> bytes:
    """Update the fallback tag as a client must, with extra spaces."""
    entries = [
        {"mediaType": one.media_type, "digest": one.digest, "size": len(one.raw), "artifactType": json.loads(one.raw).get("artifactType")} for one in referrers
    ]
    raw = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}, indent=1).encode()
    headers = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
    assert request(registry, "PUT", f"/v2/{repository}/manifests/{subject.digest.replace(':', '-')}", headers=headers, body=raw)[0] == 201
    return raw


def listed_by(registry: object, repository: str, subject: Image) -> list[dict[str, object]]:
    """Return what the referrers API of *registry* lists."""
    status, headers, body = request(registry, "GET", f"/v2/{repository}/referrers/{subject.digest}")
    assert (status, headers["content-type"]) == (200, "application/vnd.oci.image.index.v1+json")
    return json.loads(body)["manifests"]


def named(entries: list[dict[str, object]]) -> set[object]:
    return {entry["digest"] for entry in entries}


def seed(registry: object, repository: str, *, by_tag: bool) -> tuple[Image, Image, Image, Image]:
    """Push an index, its SBOM, and signatures of both."""
    root = push(registry, repository, "1", index(repository))
    sbom = push(registry, repository, "", artifact("sbom", artifact_type=SBOM, subject=root))
    signed_sbom = push(registry, repository, "", artifact("signed", artifact_type="application/vnd.example.signature", subject=sbom))
    if by_tag:
        push_fallback(registry, repository, root, sbom)
        push_fallback(registry, repository, sbom, signed_sbom)
    return root, sbom, signed_sbom, push(registry, repository, cosign_tag(root), signature(root, "ada"))


@pytest.mark.parametrize("source_knows", [True, False], ids=["from the API", "from the fallback tag"])
@pytest.mark.parametrize("destination_knows", [True, False], ids=["to the API", "to the fallback tag"])
def test_all_referrers_arrive(source_knows, destination_knows, lab, knowing, knowing_too):
    """SBOM, its signature and the cosign signature arrive byte for byte and can be found."""
    origin, target = knowing if source_knows else lab.source, knowing_too if destination_knows else lab.destination
    root, sbom, signed_sbom, signed = seed(origin, f"{lab.name}/app", by_tag=not source_knows)
    lab.workplace.allow_plain_http(origin, target)
    lab.workplace.mirror("a", source=f"{origin}/{lab.name}/app", destinations=[f"{target}/m"])

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["copied"] == 1
    assert ran.json["outcomes"][0]["digest"] == root.digest
    look = listed_by if destination_knows else fallback_of
    assert named(look(target, f"m/{lab.name}/app", root)) == {sbom.digest}
    assert look(target, f"m/{lab.name}/app", root)[0]["artifactType"] == SBOM
    assert named(look(target, f"m/{lab.name}/app", sbom)) == {signed_sbom.digest}
    assert pull_raw(target, f"m/{lab.name}/app", cosign_tag(root)) == signed.raw
    for one in (sbom, signed_sbom):
        assert pull_raw(target, f"m/{lab.name}/app", one.digest) == one.raw
        for digest, content in one.all_blobs.items():
            assert request(target, "GET", f"/v2/m/{lab.name}/app/blobs/{digest}")[2] == content


@pytest.mark.parametrize("served_as", ["application/vnd.OCI.image.index.v1+JSON; charset=utf-8", "application/json", None])
def test_referrers_api_is_known_by_any_fitting_type(served_as, lab, knowing):
    """Neither letter case, nor parameters, nor a generic type hide the referrers."""
    root, sbom, _, _ = seed(knowing, f"{lab.name}/app", by_tag=False)
    knowing.add(switches.headers(Content_Type=served_as), target="/referrers/")
    lab.workplace.allow_plain_http(knowing, lab.destination)
    lab.workplace.mirror("a", source=f"{knowing}/{lab.name}/app", destinations=[f"{lab.destination}/m"])

    assert lab.run("apply").code == 0

    assert named(fallback_of(lab.destination_registry, f"m/{lab.name}/app", root)) == {sbom.digest}


@pytest.mark.parametrize("body", [{"errors": []}, {"manifests": "none"}, "<html></html>"])
def test_any_other_document_is_no_referrers_api(body, lab):
    """The fallback tag answers then."""
    root, sbom, _, _ = seed(lab.source_registry, f"{lab.name}/app", by_tag=True)
    lab.source.add(switches.Respond(200, body, headers={"Content-Type": "application/json"}), target="/referrers/")
    lab.declare("app")

    assert lab.run("apply").code == 0

    assert named(fallback_of(lab.destination_registry, f"m/{lab.name}/app", root)) == {sbom.digest}


def test_tag_is_pushed_after_its_referrers(lab):
    """A client that pulls the tag finds the signatures."""
    root, _, _, _ = seed(lab.source_registry, f"{lab.name}/app", by_tag=True)
    lab.declare("app")

    assert lab.run("apply").code == 0

    assert lab.destination.requests()[-1] == f"PUT /v2/m/{lab.name}/app/manifests/1"
    puts = lab.destination.requests("PUT .*/manifests/")
    assert puts.index(f"PUT /v2/m/{lab.name}/app/manifests/{root.digest}") < puts.index(f"PUT /v2/m/{lab.name}/app/manifests/{cosign_tag(root)}")


def test_fallback_index_of_the_source_keeps_its_bytes(lab):
    """If the destination has no fallback index, the source's one arrives unchanged."""
    root = lab.push("app", "1", image(1))
    sbom = lab.push("app", "", artifact(subject=root))
    raw = push_fallback(lab.source_registry, f"{lab.name}/app", root, sbom)
    lab.declare("app")

    assert lab.run("apply").code == 0

    assert lab.served_manifest("app", root.digest.replace(":", "-")) == raw


def test_referrers_at_the_destination_are_kept(lab):
    """Referrers that exist only at the destination stay listed."""
    root = image(1)
    for one in (lab.source_registry, lab.destination_registry):
        push(one, f"{'m/' if one is lab.destination_registry else ''}{lab.name}/app", "1", root)
    sbom = lab.push("app", "", artifact("theirs", subject=root))
    push_fallback(lab.source_registry, f"{lab.name}/app", root, sbom)
    own = lab.push_to_destination("app", "", artifact("own", subject=root))
    push_fallback(lab.destination_registry, f"m/{lab.name}/app", root, own)
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["outcomes"][0]["action"] == "update"
    assert named(fallback_of(lab.destination_registry, f"m/{lab.name}/app", root)) == {sbom.digest, own.digest}


@pytest.mark.row("DIG-17")
def test_concurrent_writer_of_the_fallback_tag_loses_nothing(lab):
    """If another client writes the tag meanwhile, both referrers are listed in the end."""
    root = lab.push("app", "1", image(1))
    sbom = lab.push("app", "", artifact("theirs", subject=root))
    push_fallback(lab.source_registry, f"{lab.name}/app", root, sbom)
    other = lab.push_to_destination("app", "", artifact("other", subject=root))
    tag = root.digest.replace(":", "-")

    class Overwritten(switches.Switch):
        def answer(self, request, answer):
            push_fallback(lab.destination_registry, f"m/{lab.name}/app", root, other)
            return answer

    lab.destination.add(Overwritten(), method="PUT", target=f"manifests/{tag}$", nth=1)
    lab.declare("app")

    assert lab.run("apply").code == 0

    assert named(fallback_of(lab.destination_registry, f"m/{lab.name}/app", root)) == {sbom.digest, other.digest}


OTHERS = {"others only": ("us",), "others and one of the source's": ("us", "ada")}


@pytest.mark.row("SIG-07")
@pytest.mark.parametrize("signers", OTHERS.values(), ids=OTHERS)
def test_signature_at_the_destination_is_not_overwritten(signers, lab):
    """A different cosign tag at the destination stays, with a warning, unless the source's contains it; it is no drift."""
    root = lab.push("app", "1", image(1))
    lab.push("app", cosign_tag(root), signature(root, "ada", "grace"))
    own = lab.push_to_destination("app", cosign_tag(root), signature(root, *signers))
    lab.declare("app")

    for arguments, copied in ((["apply"], 1), (["apply", "--refresh"], 0)):
        ran = lab.run(*arguments, "-o", "json")
        assert (ran.code, ran.json["summary"]["copied"]) == (0, copied), ran.stdout
        (warning,) = ran.events("referrers.incomplete")
        assert warning["reason"].endswith("holds layers that the source's tag does not have, and lacks some that it has; left unchanged")
        assert lab.served_manifest("app", cosign_tag(root)) == own.raw
    verified = lab.run("verify", "-o", "json")
    (finding,) = verified.json["findings"]
    assert (verified.code, finding["condition"]) == (0, "ok")
    assert finding["left_out"] == [f"the source's {cosign_tag(root)}, because the destination's tag holds layers of others"]
    assert "Repair it" not in lab.run("verify").stdout

    lab.push_to_destination("app", cosign_tag(root), signature(root, "ada"))
    assert lab.run("verify").code == 1
    assert lab.run("apply").code == 0
    assert lab.served_manifest("app", cosign_tag(root)) == signature(root, "ada", "grace").raw
    assert lab.run("verify").code == 0


@pytest.mark.row("SIG-07")
def test_signature_that_the_destination_added_is_kept(lab):
    """A tag that holds all of the source's is complete: no drift, no warning, no push."""
    root = lab.push("app", "1", image(1))
    lab.push("app", cosign_tag(root), signature(root, "ada"))
    lab.declare("app")
    assert lab.run("apply").code == 0
    own = lab.push_to_destination("app", cosign_tag(root), signature(root, "ada", "us"))

    assert lab.run("verify", "-o", "json").json["findings"][0]["condition"] == "ok"
    ran = lab.run("apply", "--refresh", "-o", "json")

    assert (ran.code, ran.json["summary"]["kept"]) == (0, 1)
    assert ran.events("referrers.incomplete") == []
    assert lab.served_manifest("app", cosign_tag(root)) == own.raw


@pytest.mark.row("SIG-07")
def test_signature_by_another_key_over_the_same_payload_is_not_overwritten(lab):
    """The layers have one digest, and differ in their annotations."""
    root = lab.push("app", "1", image(1))
    theirs, ours = (signature_image(simple(signer(name), root.digest, "registry.example/app")) for name in ("prod", "other"))
    assert theirs.blobs.keys() == ours.blobs.keys()
    lab.push("app", cosign_tag(root), theirs)
    own = lab.push_to_destination("app", cosign_tag(root), ours)
    lab.declare("app")

    assert lab.run("apply").code == 0
    assert lab.served_manifest("app", cosign_tag(root)) == own.raw
    assert lab.run("verify").code == 0


@pytest.mark.parametrize(("wanted", "arrive"), [("false", set()), (f"[{SBOM}]", {"sbom"}), (f"[{SIGNATURE_LAYER}]", {"cosign"}), ("true", {"sbom", "cosign"})])
def test_referrers_are_chosen_by_type(wanted, arrive, lab):
    """`false` copies none; a list copies those artifact or layer types."""
    root, sbom, _, signed = seed(lab.source_registry, f"{lab.name}/app", by_tag=True)
    lab.declare("app", f"referrers: {wanted}")

    assert lab.run("apply").code == 0

    assert named(fallback_of(lab.destination_registry, f"m/{lab.name}/app", root)) == ({sbom.digest} if "sbom" in arrive else set())
    assert lab.served_manifest("app", cosign_tag(root)) == (signed.raw if "cosign" in arrive else None)
    assert lab.served_manifest("app", "1") == root.raw


def test_referrer_tags_are_not_images(lab):
    """They are copied with their image; a referrer of an unselected image is copied only if named."""
    root = lab.push("app", "1", image(1))
    lab.push("app", cosign_tag(root), signature(root, "ada"))
    stray = lab.push("app", cosign_tag(image(2)), signature(image(2), "ada"))
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert [change["source"].rpartition(":")[2] for change in ran.json["changes"]] == ["1"]
    assert ran.json["changes"][0]["reason"] == "not at the destination; with 1 referrer"
    lab.declare("app", f"tags: {{include: ['*'], names: ['{cosign_tag(image(2))}']}}")
    assert lab.run("apply").code == 0
    assert lab.served_manifest("app", cosign_tag(image(2))) == stray.raw


def test_images_without_referrers_cost_one_request_per_registry(lab):
    """With a tag list, one check for the API is enough; later runs need none."""
    for number in range(5):
        lab.push("app", str(number), image(number))
    lab.declare("app")

    assert lab.run("apply").code == 0

    assert len(lab.source.requests("/referrers/")) == 1
    assert len(lab.source.requests("tags/list")) == 1
    assert lab.destination.requests("/referrers/") == []
    lab.source.forget()
    assert lab.run("plan").code == 0
    assert len(lab.source.requests("/referrers/")) == 0


def test_referrers_api_costs_one_request_per_image(knowing, lab):
    """Planning and copying together ask once per image."""
    for number in range(5):
        push(knowing, f"{lab.name}/app", str(number), image(number))
    lab.workplace.allow_plain_http(knowing, lab.destination)
    lab.workplace.mirror("a", source=f"{knowing}/{lab.name}/app", destinations=[f"{lab.destination}/m"])
    knowing.forget()

    assert lab.run("apply").code == 0

    assert len(knowing.requests("/referrers/")) == 5
    assert len(knowing.requests("tags/list")) == 1


def test_mirrors_of_one_image_read_its_referrers_once(knowing, lab):
    """Several mirrors that ask at the same moment share one list."""
    push(knowing, f"{lab.name}/app", "1", image(1))
    lab.workplace.allow_plain_http(knowing, lab.destination)
    for name in "abc":
        lab.workplace.mirror(name, source=f"{knowing}/{lab.name}/app", destinations=[f"{lab.destination}/{name}"])
    knowing.add(switches.Distance(0.2), target="/referrers/")
    knowing.forget()

    assert lab.run("apply").code == 0

    assert len(knowing.requests("/referrers/")) == 1


@pytest.mark.parametrize("has_api", [True, False], ids=["API", "tags"])
def test_tagged_part_of_an_index_keeps_its_referrers(has_api, knowing, lab):
    """For the index only tags show what refers to its parts; for the tag of the part the registry is asked."""
    part = image(1)
    whole = index(children=[part, image(2, platform="linux/arm64")])
    source = knowing if has_api else lab.source
    for tag, content in (("1", whole), ("1-amd64", part)):
        push(source, f"{lab.name}/app", tag, content)
    sbom = push(source, f"{lab.name}/app", "", artifact(subject=part))
    if not has_api:
        push_fallback(source, f"{lab.name}/app", part, sbom)
        # Without a list of tags, those of parts are not asked for.
        source.add(switches.status(403), target="tags/list")
    lab.workplace.allow_plain_http(source, lab.destination)
    settings = {"tags": {"names": ["1", "1-amd64"]}, "concurrency": {"queries": 1, "images": 1}}
    lab.workplace.mirror("a", source=f"{source}/{lab.name}/app", destinations=[f"{lab.destination}/m"], **settings)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [one["digest"] for one in fallback_of(lab.destination, f"m/{lab.name}/app", part)] == [sbom.digest]


def test_mirrors_with_other_types_of_one_image_copy_both(knowing, lab):
    """Two tags of one digest in one repository: what the second mirror wants is not left out."""
    root = image(1)
    for tag in "12":
        push(knowing, f"{lab.name}/app", tag, root)
    sbom, other = (push(knowing, f"{lab.name}/app", "", artifact(kind, artifact_type=kind, subject=root)) for kind in (SBOM, "application/vnd.example.other"))
    lab.workplace.allow_plain_http(knowing, lab.destination)
    for tag, types in (("1", [SBOM]), ("2", True)):
        settings = {"tags": {"names": [tag]}, "referrers": types}
        lab.workplace.mirror(f"m{tag}", source=f"{knowing}/{lab.name}/app", destinations=[f"{lab.destination}/m"], **settings)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert {one["digest"] for one in fallback_of(lab.destination, f"m/{lab.name}/app", root)} == {sbom.digest, other.digest}


def test_exact_names_cost_one_listing_per_repository(lab):
    """One tag list answers for all images; without a list each tag is checked."""
    for number in range(3):
        root = lab.push("app", str(number), image(number))
    signed = lab.push("app", cosign_tag(root), signature(root, "ada"))
    lab.declare("app", "tags: {names: ['0', '1', '2']}")

    ran = lab.run("plan", "-o", "json")

    assert [change["reason"].partition("; ")[2] for change in ran.json["changes"]] == ["", "", "with 1 referrer"]
    assert len(lab.source.requests("tags/list")) == 1
    assert lab.source.requests("HEAD .*sha256-") == [f"HEAD /v2/{lab.name}/app/manifests/{cosign_tag(root)}"]
    lab.source.add(switches.status(403), target="tags/list")
    assert lab.run("plan", "-o", "json").json["changes"][2]["reason"].endswith("with 1 referrer")
    assert signed.raw


def test_lost_state_adopts_images_with_all_referrers(lab):
    """Without a state, only images with missing referrers are copied again."""
    seed(lab.source_registry, f"{lab.name}/app", by_tag=True)
    lab.declare("app")
    assert lab.run("apply").code == 0
    lab.destination.forget()

    ran = lab.run("apply", "--state", "other", "-o", "json")

    assert ran.json["summary"]["kept"] == 1, ran.stdout
    assert lab.destination.requests("PUT|POST|PATCH") == []


@pytest.mark.parametrize("refresh", [True, False], ids=["--refresh", "by the listing"])
def test_late_signature_is_copied(refresh, lab):
    """A signature made after mirroring is copied alone, once."""
    root = lab.push("app", "1", image(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    signed = lab.push("app", cosign_tag(root), signature(root, "ada"))
    lab.destination.forget()

    ran = lab.run("apply", *(["--refresh"] if refresh else []), "-o", "json")

    assert ran.json["outcomes"][0]["action"] == "update", ran.stderr
    assert lab.served_manifest("app", cosign_tag(root)) == signed.raw
    assert f"PUT /v2/m/{lab.name}/app/manifests/1" not in lab.destination.requests()
    lab.destination.forget()
    assert lab.run("apply", "-o", "json").json["summary"]["kept"] == 1
    assert lab.destination.seen == []


def test_first_signature_of_a_named_tag_needs_refresh(lab):
    """Without a listing nothing shows it; a signature that was copied and moves is seen, by one HEAD."""
    root = lab.push("app", "1", image(1))
    lab.declare("app", "tags: {names: ['1']}")
    assert lab.run("apply").code == 0
    lab.push("app", cosign_tag(root), signature(root, "ada"))

    unseen = lab.run("apply", "-o", "json")
    seen = lab.run("apply", "--refresh", "-o", "json")
    again = lab.push("app", cosign_tag(root), signature(root, "grace"))
    moved = lab.run("apply", "-o", "json")

    assert [ran.json["summary"]["copied"] for ran in (unseen, seen, moved)] == [0, 1, 1]
    assert lab.served_manifest("app", cosign_tag(root)) == again.raw


def test_changed_selection_copies_the_referrers(lab):
    """After `referrers: false` is removed, the referrers are copied."""
    root, _, _, signed = seed(lab.source_registry, f"{lab.name}/app", by_tag=True)
    lab.declare("app", "referrers: false")
    assert lab.run("apply").code == 0
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.json["outcomes"][0]["action"] == "update"
    assert lab.served_manifest("app", cosign_tag(root)) == signed.raw
    assert lab.run("plan", "-o", "json").json["summary"]["keep"] == 1


@pytest.mark.row("DIG-17")
def test_two_tags_of_one_digest_share_their_referrers(lab):
    """Copied in parallel, the fallback tag is written once."""
    root, _, _, _ = seed(lab.source_registry, f"{lab.name}/app", by_tag=True)
    for tag in ("2", "3", "4"):
        lab.push("app", tag, root)
    lab.declare("app")

    assert lab.run("apply").code == 0

    assert len(lab.destination.requests(f"PUT .*/manifests/{root.digest.replace(':', '-')}$")) == 1


@pytest.mark.row("DIG-17")
def test_referrers_of_other_images_and_vanished_ones_are_skipped(lab):
    """They are skipped with a warning."""
    root = lab.push("app", "1", image(1))
    other = lab.push("app", "", artifact("other", subject=image(2)))
    gone = artifact("gone", subject=root)
    good = lab.push("app", "", artifact("good", subject=root))
    raw = to_json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{"mediaType": one.media_type, "digest": one.digest, "size": len(one.raw)} for one in (other, good)],
        }
    )
    push_fallback(lab.source_registry, f"{lab.name}/app", root, good)
    headers = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
    assert request(lab.source_registry, "PUT", f"/v2/{lab.name}/app/manifests/{root.digest.replace(':', '-')}", headers=headers, body=raw)[0] == 201
    lab.declare("app")

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    assert [event["reason"].partition(" (")[0].split(" is listed")[0] for event in ran.events("referrers.incomplete")] == [f"{_source_of(ran)}@{other.digest}"]
    assert named(fallback_of(lab.destination_registry, f"m/{lab.name}/app", root)) == {good.digest}
    assert gone.digest not in ran.stdout


DAMAGED = {
    "by tag": ("/manifests/sha256-[0-9a-f]+$", switches.Respond(200, "no JSON")),
    "by API": ("/referrers/", switches.Respond(200, "no JSON", headers={"Content-Type": OCI["index"]})),
    "bad entry": ("/manifests/sha256-[0-9a-f]+$", switches.Respond(200, {"schemaVersion": 2, "mediaType": OCI["index"], "manifests": [{"digest": "x"}]})),
}


@pytest.mark.parametrize(("target", "damage"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_list_of_referrers_is_a_warning(target, damage, lab):
    """Once per run; the image and its signature are copied, and the list once it is repaired."""
    root = lab.push("app", "1", image(1))
    lab.push("app", "also", root)
    sbom = lab.push("app", "", artifact("sbom", subject=root))
    push_fallback(lab.source_registry, f"{lab.name}/app", root, sbom)
    signed = lab.push("app", cosign_tag(root), signature(root, "ada"))
    lab.source.add(damage, method="GET", target=target)
    lab.declare("app")

    for copied in (2, 0):
        ran = lab.run("apply", "-o", "json")
        assert (ran.code, ran.json["summary"]["copied"], ran.json["errors"]) == (0, copied, []), ran.stdout
        (warning,) = ran.events("referrers.incomplete")
        assert f"the list of referrers of {lab.source.host}/{lab.name}/app@{root.digest} is damaged; skipped: " in warning["reason"]
    lab.assert_served("app", "1", root)
    assert lab.served_manifest("app", cosign_tag(root)) == signed.raw
    assert lab.run("verify").code == 0

    lab.source.clear()
    assert lab.run("apply", "-o", "json").code == 0
    assert named(fallback_of(lab.destination_registry, f"m/{lab.name}/app", root)) == {sbom.digest}


def _source_of(ran):
    return ran.events("image.copied")[0]["source"].rpartition(":")[0]


NOES = {str(code): switches.status(code) for code in (303, 400, 403, 405)} | {"html": switches.Respond(200, "<html>")}


@pytest.mark.parametrize("answer", NOES.values(), ids=NOES)
def test_missing_api_falls_back_to_the_tag(answer, lab):
    """Each way in which a registry lacks the API leads to the fallback tag."""
    root, _, _, signed = seed(lab.source_registry, f"{lab.name}/app", by_tag=True)
    lab.source.add(answer, target="/referrers/")
    lab.declare("app")

    assert lab.run("apply").code == 0

    assert len(fallback_of(lab.destination_registry, f"m/{lab.name}/app", root)) == 1
    assert lab.served_manifest("app", cosign_tag(root)) == signed.raw


def test_fallback_tag_that_is_an_image_is_not_overwritten(lab):
    """It may be an image of a user; the new image gets its tag all the same."""
    root, _, _, _ = seed(lab.source_registry, f"{lab.name}/app", by_tag=True)
    squatter = lab.push_to_destination("app", root.digest.replace(":", "-"), image("squatter"))
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "holds an image, not a list of referrers" in ran.json["outcomes"][0]["error"]
    assert "delete" not in lab.run("apply").stdout
    assert lab.served_manifest("app", root.digest.replace(":", "-")) == squatter.raw
    assert lab.served_manifest("app", "1") == root.raw


def test_signature_of_one_platform_is_copied_with_it(lab):
    """Referrers of an index's children are copied, except those of platforms left out."""
    root = lab.push("app", "1", index(1))
    kept, left = root.children
    for child in (root, kept, left):
        lab.push("app", cosign_tag(child), signature(child, "ada"))
    lab.declare("app", "platforms: [linux/amd64]")

    assert lab.run("apply").code == 0

    there = {child.digest for child in (root, kept, left) if lab.served_manifest("app", cosign_tag(child))}
    assert there == {kept.digest}


def test_large_referrer_counts_in_the_plan(lab):
    """The bytes to transfer include referrers; the image size does not."""
    root = lab.push("app", "1", image(1))
    big = layer("sbom", 200_000)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": SBOM,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2},
        "layers": [{"mediaType": SBOM, "digest": digest_of(big), "size": len(big)}],
        "subject": {"mediaType": root.media_type, "digest": root.digest, "size": len(root.raw)},
    }
    sbom = lab.push("app", "", Image(to_json(manifest), manifest["mediaType"], {digest_of(big): big, digest_of(b"{}"): b"{}"}))
    push_fallback(lab.source_registry, f"{lab.name}/app", root, sbom)
    lab.declare("app")

    plan = lab.run("plan", "-o", "json").json

    assert plan["changes"][0]["size_bytes"] == root.size_bytes
    assert plan["summary"]["transfer_bytes"] == root.size_bytes + len(big) + 2


@pytest.mark.parametrize("lost", ["/manifests/sha256-[0-9a-f]{64}$", "SBOM"], ids=["the fallback index", "what it names"])
def test_missing_referrer_is_copied_by_a_later_run(lost, lab):
    """The image is copied without it; the next run copies it, and then nothing remains."""
    root, sbom, _, _ = seed(lab.source_registry, f"{lab.name}/app", by_tag=True)
    lab.declare("app")
    lab.source.add(switches.status(404), method="GET|HEAD", target=lost.replace("SBOM", sbom.digest))
    assert lab.run("apply").code == 0
    lab.source.clear()

    ran = lab.run("apply", "-o", "json")

    assert (ran.code, ran.json["summary"]["copied"]) == (0, 1), ran.stderr
    assert lab.served_manifest("app", sbom.digest) == sbom.raw
    assert sbom.digest in named(fallback_of(lab.destination_registry, f"m/{lab.name}/app", root))
    lab.destination.forget()
    assert lab.run("apply", "-o", "json").json["summary"]["kept"] == 1
    assert lab.destination.seen == []


@pytest.mark.row("REG-15")
def test_eventually_consistent_registry_gets_every_image(lab):
    """Nothing is read back after a write, except the list of referrers, which is written once."""
    root = lab.push("app", "1", image(1))
    sbom = lab.push("app", "", artifact("late", artifact_type=SBOM, subject=root))
    push_fallback(lab.source_registry, f"{lab.name}/app", root, sbom)
    lab.destination.add(Lagging(1.5), target="/manifests/")
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert len(lab.destination.requests(f"PUT .*/manifests/{root.digest.replace(':', '-')}$")) == 1
    assert [entry["digest"] for entry in fallback_of(lab.destination_registry, f"m/{lab.name}/app", root)] == [sbom.digest]
    assert lab.run("plan", "-o", "json").json["summary"]["keep"] == 1
