"""Registries that differ from the specification, each by a switch of the proxy."""

from __future__ import annotations

import base64
import json

import pytest

from tests import switches
from tests.support.faults import FaultProxy
from tests.support.images import OCI, image, index, plain_client, push
from tests.support.listing_apis import EcrApi
from tests.support.outcomes import errors_by_repository, only_error
from tests.support.wire import plain_answer
from tests.support.witness import assert_served
from tests.switches import Respond
from tests.switches.content import Unlike, manifest_of
from tests.switches.net import (
    warns,
)

MEBIBYTE = 1 << 20


def copied(ran, second_registry, name, content) -> None:
    assert ran.code == 0, ran.stdout
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("REG-12")
@pytest.mark.parametrize(
    ("switch", "where"),
    [
        (switches.no_head(), {"method": "HEAD"}),
        (switches.no_digest_header(), {}),
        (switches.gzipped(), {"target": "/manifests/", "method": "GET"}),
        (switches.html(404), {"target": "/referrers/"}),
    ],
    ids=["no HEAD", "no digest header", "gzip", "HTML error"],
)
def test_quirks_of_a_source(switch, where, lab):
    """Without HEAD or digest headers, or with compressed manifests, the image arrives byte for byte."""
    content = lab.push("app", "1", index(1))
    lab.source.add(switch, **where)
    lab.declare("app")

    copied(lab.run("apply", "-o", "json"), lab.destination_registry, lab.name, content)
    assert lab.run("plan", "-o", "json").json["summary"]["keep"] == 1


@pytest.mark.row("REG-05", "REG-07", "REG-10", "REG-12")
@pytest.mark.parametrize(
    ("switch", "where"),
    [
        (switches.no_head(), {"method": "HEAD"}),
        (switches.no_digest_header(), {}),
        (switches.refuse_mount(), {"method": "POST"}),
        (switches.relative_location(), {"method": "POST"}),
        (switches.chunk_min_length(10**12), {"method": "POST"}),
        (switches.html(405), {"target": "mount=", "method": "POST"}),
    ],
    ids=["no HEAD", "no digest header", "no mount", "relative Location", "absurd chunks", "mount in HTML"],
)
def test_quirks_of_a_destination(switch, where, lab):
    """Each difference of a destination still gets the image there."""
    content = lab.push("app", "1", image(1))
    lab.declare("app")
    lab.destination.add(switch, **where)

    copied(lab.run("apply", "-o", "json"), lab.destination_registry, lab.name, content)


@pytest.mark.row("REG-09")
def test_too_large_body_is_sent_in_chunks(lab):
    """After refusals at 5 MiB, this and later blobs are sent in chunks."""
    content = lab.push("app", "1", image(1, layers=2, layer_bytes=9 * MEBIBYTE))
    lab.destination.add(switches.BodyLimit(5 * MEBIBYTE), method="PUT|PATCH")
    lab.declare("app", "concurrency: {blobs: 1}")

    copied(lab.run("apply", "-o", "json"), lab.destination_registry, lab.name, content)

    sizes = [int(one.headers["content-length"]) for one in lab.destination.recorded("PATCH") if one.status == 202]
    assert [size // MEBIBYTE for size in sizes] == [4, 4, 1] * 2
    assert len([one for one in lab.destination.seen if one.status == 413]) == 1


@pytest.mark.row("REG-07")
def test_minimum_chunk_size_is_kept(lab):
    """`OCI-Chunk-Min-Length` applies to every chunk but the last."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=12 * MEBIBYTE))
    lab.destination.add(switches.BodyLimit(8 * MEBIBYTE), method="PUT")
    lab.destination.add(switches.chunk_min_length(5 * MEBIBYTE), method="POST")
    lab.declare("app")

    copied(lab.run("apply", "-o", "json"), lab.destination_registry, lab.name, content)

    sizes = [int(one.headers["content-length"]) for one in lab.destination.recorded("PATCH")]
    assert sizes[:2] == [5 * MEBIBYTE, 5 * MEBIBYTE]


@pytest.mark.row("REG-08")
def test_lost_chunks_are_detected(lab):
    """A Range that shows only the first chunk is an error, never a wrong blob."""
    lab.push("app", "1", image(1, layers=1, layer_bytes=6 * MEBIBYTE))
    lab.destination.add(switches.BodyLimit(5 * MEBIBYTE), method="PUT")
    lab.destination.add(switches.loses_chunks(), method="PATCH")
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "the registry reports 1 bytes after 4194304 were sent" in ran.json["outcomes"][0]["error"]
    assert lab.served_manifest("app", "1") is None


def test_401_between_chunks_restarts_the_upload(lab):
    """The upload starts again and succeeds."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=9 * MEBIBYTE))
    lab.destination.add(switches.BodyLimit(5 * MEBIBYTE), method="PUT|PATCH")
    lab.destination.add(switches.status(503), method="PATCH", nth=2)
    lab.declare("app")

    copied(lab.run("apply", "-o", "json"), lab.destination_registry, lab.name, content)


@pytest.mark.row("AUTH-01")
def test_blobs_in_object_storage_are_read_without_credentials(lab, password_registry):
    """The presigned URL is requested byte for byte, without credentials."""
    client = password_registry.client()
    content = push(password_registry, f"{lab.name}/app", "1", image(1), client=client)
    lab.push("app", "1", content)
    with FaultProxy(password_registry) as source:
        source.add(switches.to_object_storage(lab.other_host.host), method="GET", target="/blobs/")
        credentials = {"username": password_registry.login[0], "password": password_registry.login[1]}
        lab.workplace.allow_plain_http(source, lab.destination, settings={source.host: {"credentials": credentials}})
        lab.workplace.mirror("a", source=f"{source}/{lab.name}/app", destinations=[f"{lab.destination}/m"])

        copied(lab.run("apply", "-o", "json"), lab.destination_registry, lab.name, content)

    assert len(lab.other_host.requests("GET .*/blobs/")) == 3
    assert all(one.target.endswith("?X-Amz-Signature=abc%2Fdef&X-Amz-Expires=60") for one in lab.other_host.seen)
    assert "authorization" not in lab.other_host.everything().lower()


@pytest.mark.row("REG-18")
@pytest.mark.parametrize("code", [400, 409, 412])
def test_immutable_tag_is_refused_not_failed(code, lab):
    """The refusal is reported with a hint and not retried; others continue."""
    for tag in ("1", "2"):
        lab.push("app", tag, image(tag))
    refusal = lab.destination.add(switches.immutable_tag(code), method="PUT", target="/manifests/1$")
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"refused": 1, "failed": 0, "copied": 1}
    assert "the registry does not allow this tag to be changed" in ran.json["outcomes"][0]["error"]
    assert len(lab.destination.requests("PUT .*/manifests/1$")) == 1
    assert ran.events("image.refused")[0]["destination"].endswith(f"/m/{lab.name}/app:1")
    assert refusal


@pytest.mark.row("REG-17")
@pytest.mark.parametrize("code", [403, 413, 507])
def test_exceeded_quota_is_reported(code, lab):
    """The registry's words and a hint; no retry."""
    lab.push("app", "1", image(1, layers=1))
    lab.destination.add(switches.quota_spent(code), method="PUT", target="/uploads/")
    lab.declare("app", "concurrency: {blobs: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "exceed the configured upper limit" in ran.json["outcomes"][0]["error"]
    assert "the destination's quota is used up" in ran.json["outcomes"][0]["error"]
    assert len(lab.destination.requests("PUT .*/uploads/")) == 1


@pytest.mark.row("DIG-18")
def test_schema_1_is_refused_by_name(lab):
    """Schema 1 manifests are refused without an attempt to push them."""
    lab.push("app", "1", image(1))
    old = {"schemaVersion": 1, "name": f"{lab.name}/app", "tag": "1", "fsLayers": [], "history": [], "signatures": []}
    body = switches.Respond(200, old, headers={"Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws"})
    lab.source.add(body, target="/manifests/1")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert "Docker schema 1" in ran.json["errors"][0]["message"]
    assert "ask its publisher to push it in a current format" in ran.json["errors"][0]["message"]


def test_missing_repository_names_the_setting(lab):
    """Without permission to create it, the error says how to and which setting would."""
    lab.push("app", "1", image(1))
    lab.destination.add(switches.MissingRepository())
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "create it first" in ran.json["outcomes"][0]["error"]
    assert f"`create_repositories: true` for {lab.destination.host}" in ran.json["outcomes"][0]["error"]


def test_repository_is_created_in_ecr(lab):
    """If allowed, each repository is created once, after a push reports it missing."""
    contents = {path: lab.push(path, "1", image(path)) for path in ("app", "tool")}
    missing = lab.destination.add(switches.MissingRepository())

    class Making(EcrApi):
        def answer(self, call, asked):
            missing.made = missing.made or (call == "CreateRepository" and len(self.made) == 1)
            return super().answer(call, asked)

    with Making({}) as api:
        settings = {lab.destination.host: {"listing": {"kind": "ecr", "url": api.url}, "create_repositories": True}}
        lab.workplace.allow_plain_http(lab.source, lab.destination, settings=settings)
        lab.workplace.mirror(
            "a", source={"registry": lab.source.host, "repositories": [f"{lab.name}/app", f"{lab.name}/tool"]}, destinations=[f"{lab.destination}/m"]
        )
        keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "aws-SECRET", "AWS_DEFAULT_REGION": "eu-west-1"}

        ran = lab.run("apply", "-o", "json", env=keys)

    assert ran.code in {0, 1}
    assert sorted(set(api.made)) == [f"m/{lab.name}/app", f"m/{lab.name}/tool"]
    assert "aws-SECRET" not in ran.stdout + ran.stderr
    assert lab.run("apply", env=keys).code == 0
    for path, content in contents.items():
        lab.assert_served(path, "1", content)


def test_project_is_created_in_harbor(lab):
    """Private, with the registry's own login; the push continues."""
    content = lab.push("app", "1", image(1))
    missing = lab.destination.add(switches.MissingRepository("project m not found"), target="/v2/")

    class Projects(switches.Switch):
        def request(self, request):
            if request.path != "/api/v2.0/projects":
                return request
            missing.made = True
            return plain_answer(201)

    lab.destination.add(Projects())
    lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.destination.host: {"create_repositories": True}})
    lab.workplace.mirror("a", source=f"{lab.source}/{lab.name}/app", destinations=[f"{lab.destination}/m"])

    copied(lab.run("apply", "-o", "json"), lab.destination_registry, lab.name, content)

    made = lab.destination.recorded("POST /api/v2.0/projects")
    assert [json.loads(one.body) for one in made] == [{"project_name": "m", "metadata": {"public": "false"}}]


def test_missing_challenge_is_read_from_the_root(lab):
    """A 401 without a challenge: `GET /v2/` gives one."""
    content = lab.push("app", "1", image(1))
    with plain_client(lab.source_registry) as http:
        assert http.get("/v2/").status_code == 200
    basic = f"Basic {base64.b64encode(b'user:pass-SECRET').decode()}"
    lab.source.add(switches.require_authorization(basic, 'Basic realm="x"'), target="^/v2/$")
    lab.source.add(switches.require_authorization(basic, ""), target=f"/v2/{lab.name}")
    lab.declare("app")
    credentials = "credentials: {username: user, password: pass-SECRET}"
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false, {credentials}}}\n  {lab.destination.host}: {{tls: false}}\n")

    copied(lab.run("apply", "-o", "json"), lab.destination_registry, lab.name, content)


SAVED = "plan.json"


@pytest.mark.row("DIG-01")
@pytest.mark.parametrize("what", ["the image of a saved plan", "a child of an index"])
def test_pinned_manifest_with_other_bytes_is_refused(what, lab):
    """Another manifest under a digest is refused; the destination stays as it was."""
    root = lab.push("app", "1", index(1))
    other = lab.push("app", "other", image(2))
    lab.declare("app", "tags: {names: ['1']}")
    assert lab.run("plan", "--out", SAVED).code == 0
    pinned = root if what.startswith("the image") else root.children[0]
    lab.source.add(manifest_of(other), method="GET", target=pinned.digest)

    ran = lab.run("apply", "--plan", SAVED, "-o", "json")

    assert f"expected {pinned.digest}, got {other.digest}" in only_error(ran)
    assert ran.events("image.failed")[0]["hint"].startswith("the registry serves damaged or changed content; nothing was pushed; ask its operator")
    assert lab.served_tags("app") == []
    assert lab.served_manifest("app", other.digest) is None


@pytest.mark.row("DIG-02")
def test_header_of_another_manifest_is_an_error(lab):
    """If `Docker-Content-Digest` differs from the bytes, nothing is copied."""
    content = lab.push("app", "1", image(1))
    lab.source.add(switches.headers(Docker_Content_Digest=image(2).digest), method="GET", target="/manifests/1$")
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert f"expected {image(2).digest}, got {content.digest}" in only_error(ran)
    assert lab.served_tags("app") == []


@pytest.mark.row("DIG-03")
def test_head_and_get_accept_the_same_types(lab):
    """Registries convert manifests for clients that accept less."""
    lab.push("app", "1", index(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    assert lab.run("plan", "--refresh").code == 0

    accepted = {one.headers["accept"] for one in lab.source.recorded("(GET|HEAD) .*/manifests/")}

    assert {one.method for one in lab.source.recorded("/manifests/")} == {"GET", "HEAD"}
    assert len(accepted) == 1
    assert {OCI["index"], OCI["manifest"]} < set(accepted.pop().split(", "))


@pytest.mark.row("DIG-03")
def test_manifest_of_get_is_copied_not_of_head(lab):
    """The plan and the copy use what was read, and say so."""
    lab.push("app", "1", index(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    moved = lab.push("app", "1", index(2))
    # As registries do that convert an index to the image of one platform: it is there, and has that digest.
    lab.source.add(Unlike(moved.children[0]), method="HEAD", target="/manifests/1$")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["outcomes"][0]["digest"] == moved.digest
    lab.assert_served("app", "1", moved)
    (warning,) = ran.events("tag.moved")
    assert moved.digest[7:19] in warning["reason"]
    assert moved.children[0].digest[7:19] in warning["reason"]


@pytest.mark.row("REG-12")
def test_wrong_404_of_head_is_checked_by_get(lab):
    """One more request per tag; nothing seems deleted."""
    lab.push("app", "1", image(1))
    lab.declare("app", "referrers: false")
    assert lab.run("apply").code == 0
    lab.source.forget()
    lab.source.add(switches.status(404), method="HEAD", target="/manifests/")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert ran.json["summary"]["keep"] == 1
    assert [one.partition(" ")[0] for one in lab.source.requests("/manifests/")] == ["HEAD", "GET"]


@pytest.mark.row("REG-26")
def test_pull_through_cache_is_asked_again(lab):
    """A first 404 is retried; a permanent one is one clear error."""
    content = lab.push("app", "1", index(1))
    lab.push("never", "1", image("never", layers=1))
    refusal = Respond(404, {"errors": [{"code": "BLOB_UNKNOWN", "message": "not cached"}]})
    lab.source.add(refusal, method="GET", target=f"{lab.name}/app/blobs/", times=1)
    lab.source.add(refusal, method="GET", target=f"{lab.name}/never/blobs/")
    lab.declare("app never", "referrers: false\nconcurrency: {blobs: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "(source): 404 BLOB_UNKNOWN: not cached" in errors_by_repository(ran)["never"]
    assert len(lab.source.requests(f"{lab.name}/never/blobs/")) <= 12
    assert lab.served_manifest("never", "1") is None
    lab.assert_served("app", "1", content)


def test_image_without_one_of_its_blobs_is_incomplete(lab):
    """The manifest is there, so the name is right; what arrived is counted once, not again as present."""
    broken = image("broken", layers=3)
    lab.push("whole", "1", image("whole", layers=3))
    lab.push("broken", "1", broken)
    *_, missing, _config = broken.blobs
    lab.source.add(Respond(404), method="GET", target=f"{lab.name}/broken/blobs/{missing}")
    lab.declare("whole broken", "referrers: false\nconcurrency: {blobs: 1}")

    ran = lab.run("apply", "-o", "json")

    outcomes = {outcome["destination"].rpartition("/")[2]: outcome for outcome in ran.json["outcomes"]}
    assert "incomplete at the source" in outcomes["broken:1"]["hint"]
    assert outcomes["broken:1"]["attempts"] > 1
    assert [(one["blobs_copied"], one["blobs_present"]) for one in (outcomes["whole:1"], outcomes["broken:1"])] == [(4, 0), (3, 0)]


@pytest.mark.row("REG-27")
def test_registry_warning_is_logged_once(lab):
    """On one line, escaped."""
    lab.push("app", "1", image(1))
    lab.destination.add(warns('299 - "this registry is \xa0\x85going away"'))
    lab.destination.add(warns('110 cache "stale"'))
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [(line["registry"], line["reason"]) for line in ran.events("registry.warned")] == [(lab.destination.host, "this registry is going away")]
