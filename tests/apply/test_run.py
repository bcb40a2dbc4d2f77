"""`apply` between two real registries, observed by proxies."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import subprocess

import pytest

from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import open_state
from tests import switches
from tests.support.images import DOCKER, OCI, artifact, digest_of, image, index, layer, request
from tests.support.run_imgsync import finish
from tests.switches import Hold
from tests.switches.runtime import HoldAnswer


def witness(host: str, reference: str) -> bytes:
    """Return the manifest that skopeo reads."""
    return subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{host}/{reference}"], capture_output=True, check=True, timeout=30
    ).stdout


def tags_of(host: str, repository: str) -> list[str]:
    import json

    status, _, body = request(host, "GET", f"/v2/{repository}/tags/list")
    return sorted(json.loads(body)["tags"] or []) if status == 200 else []


@pytest.mark.parametrize(
    "wanted",
    [image(1), image(2, kind=DOCKER), index(3), index(4, kind=DOCKER), index(5, children=(index(6), image(7))), artifact(), image(8, layers=0)],
    ids=["oci image", "docker image", "oci index", "docker list", "nested index", "artifact", "no layers"],
)
def test_apply_copies_every_kind_byte_for_byte(wanted, lab):
    """Every kind of image arrives byte for byte, as skopeo reads it."""
    lab.push("app", "1.0", wanted)
    lab.declare("app")

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    assert witness(lab.destination_registry, f"m/{lab.name}/app:1.0") == wanted.raw
    for digest, content in wanted.all_blobs.items():
        assert request(lab.destination_registry, "GET", f"/v2/m/{lab.name}/app/blobs/{digest}")[2] == content


def test_apply_copies_exactly_the_selected_tags(lab):
    """Tags that the filter does not select are not copied; a missing name is an error (exit 1)."""
    for number, tag in enumerate(("v1.0.0", "v1.1.0", "v2.0.0", "v1.2.0-rc.1", "latest")):
        lab.push("app", tag, image(10 + number))
    lab.declare("app", "tags: {semver: '>=1 <2', names: [latest, missing]}")

    ran = lab.run("apply")

    assert ran.code == 1, ran.stderr
    assert [event["error"] for event in ran.events("plan.failed")] == ["does not exist at the source"]
    assert tags_of(lab.destination_registry, f"m/{lab.name}/app") == ["latest", "v1.0.0", "v1.1.0"]


def test_second_apply_sends_the_destination_no_request(lab):
    """Unchanged tags cost the destination nothing and the source one manifest request each."""
    for tag in ("1", "2", "3"):
        lab.push("app", tag, image(int(tag)))
    lab.declare("app")
    assert lab.run("apply").code == 0
    lab.source.forget()
    lab.destination.forget()

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0
    assert ran.json["summary"]["kept"] == 3
    assert lab.destination.seen == []
    assert len(lab.source.requests("/manifests/")) == 3
    assert all(text.startswith("HEAD") for text in lab.source.requests("/manifests/"))


def test_lost_state_costs_a_head_per_tag_and_no_transfer(lab):
    """Without its state imgsync checks each tag, records it, and copies nothing."""
    for tag in ("1", "2"):
        lab.push("app", tag, image(int(tag)))
    lab.declare("app")
    assert lab.run("apply").code == 0
    shutil.rmtree(lab.folder / ".imgsync")
    lab.source.forget()
    lab.destination.forget()

    ran = lab.run("apply", "-o", "json")

    assert ran.json["summary"] | {"seconds": 0} == ran.json["summary"] | {"kept": 2, "copied": 0, "bytes_copied": 0, "seconds": 0}
    assert sorted(lab.destination.requests()) == [f"HEAD /v2/m/{lab.name}/app/manifests/1", f"HEAD /v2/m/{lab.name}/app/manifests/2"]
    assert lab.source.requests("/blobs/") == []
    lab.destination.forget()
    assert lab.run("apply").code == 0
    assert lab.destination.seen == [], "what was adopted is remembered"
    assert {change["size_bytes"] for change in lab.run("plan", "-o", "json").json["changes"]} == {None}, "what was never read is unknown, not 0"


def test_moved_tag_copies_only_its_new_blobs(lab):
    """Only new blobs are read and sent; other tags are not touched."""
    base = b"base" * 1000
    lab.push("app", "latest", image(1, layers=0, shared=base))
    lab.push("app", "other", image(2))
    lab.declare("app")
    assert lab.run("apply").code == 0
    moved = lab.push("app", "latest", image(3, layers=1, shared=base))
    lab.source.forget()
    lab.destination.forget()

    ran = lab.run("apply", "-o", "json")

    assert [(one["action"], one["bytes_copied"] > 0) for one in ran.json["outcomes"]] == [("update", True), ("keep", False)]
    assert not any(digest_of(base) in text for text in lab.source.requests("GET /v2/.*/blobs/"))
    assert len(lab.source.requests("GET /v2/.*/blobs/")) == 2
    assert lab.served_manifest("app", "latest") == moved.raw


def test_cold_copy_makes_only_the_needed_requests(lab):
    """Source: a GET per manifest and blob. Destination: two requests per blob, a PUT per manifest."""
    lab.push("app", "1", image(1, layers=2))
    lab.declare("app", "tags: {names: ['1']}\nreferrers: false")

    assert lab.run("apply").code == 0

    assert len(lab.source.requests("GET /v2/.*/manifests/")) == 1
    assert len(lab.source.requests("GET /v2/.*/blobs/")) == 3
    assert len(lab.source.seen) == 4
    assert len(lab.destination.requests("POST")) == 3
    assert len(lab.destination.requests("PUT /v2/.*/blobs/uploads/")) == 3
    assert len(lab.destination.requests("PUT /v2/.*/manifests/")) == 1
    assert len(lab.destination.seen) == 8, "and one look-up of the tag, which no record knew"


def test_tag_is_pushed_last(lab):
    """The tag appears after everything that it refers to."""
    lab.push("app", "1", index(1))
    lab.declare("app")

    assert lab.run("apply").code == 0

    assert lab.destination.requests()[-1] == f"PUT /v2/m/{lab.name}/app/manifests/1"
    puts = lab.destination.requests("PUT .*/manifests/sha256")
    assert len(puts) == 2
    assert lab.destination.requests().index(puts[0]) > lab.destination.requests().index(lab.destination.requests("PUT .*/blobs/uploads/")[-1])


@pytest.mark.row("REG-25")
def test_shared_layer_is_read_from_the_source_once(lab):
    """A layer that many images share is copied once and mounted for the others."""
    base = b"shared layer " * 20000
    for number in range(6):
        lab.push(f"app{number}", "1", image(100 + number, layers=1, shared=base))
    lab.declare([f"app{number}" for number in range(6)])

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert len([text for text in lab.source.requests("GET") if digest_of(base) in text]) == 1
    assert ran.json["summary"]["blobs_mounted"] == 5


@pytest.mark.row("ST-05")
def test_record_with_wrong_crc32_is_dropped(lab):
    """A record whose crc32 does not match the manifest is dropped with a warning and made again."""
    content = lab.push("app", "1", image(1))
    lab.declare("app")
    lab.source.add(switches.headers(Docker_Content_Digest=None), target="/manifests/")
    assert lab.run("apply").code == 0
    state = str(lab.folder / ".imgsync" / "state")
    with open_state(state, thread=NativeThread(), lock_timeout_seconds=0, on_warning=print) as store:
        record = store.get(f"{lab.destination.host}/m/{lab.name}/app:1")
        assert record.crc32 == content.crc32
        store.put([dataclasses.replace(record, crc32="00000000")])
    lab.destination.forget()

    ran = lab.run("apply", "-o", "json")

    assert "does not match its manifest" in ran.events("state.degraded")[0]["reason"]
    assert lab.destination.requests() == [f"HEAD /v2/m/{lab.name}/app/manifests/1"]
    assert (ran.json["summary"]["kept"], ran.json["outcomes"][0]["digest"]) == (1, content.digest)
    assert f"crc32          {content.crc32}" in lab.run("state", "show", f"{lab.destination.host}/m/{lab.name}/app:1").stdout
    lab.destination.forget()
    assert not lab.run("plan").logs[0].get("reason")
    assert lab.destination.seen == []


def test_debug_log_lists_each_blob(lab):
    """At debug level each blob is logged as copied, mounted or present, as the image's line counts them."""
    shared = layer("debug", 2000)
    lab.push("one", "1", image(1, layers=1, shared=shared))
    lab.push("two", "1", image(2, layers=1, shared=shared))
    lab.push("two", "2", image(3, layers=1, shared=shared))
    lab.declare("one two", "concurrency: {images: 1, blobs: 1}")

    ran = lab.run("apply", "--log-level", "debug")

    for how in ("copied", "mounted", "present"):
        lines = ran.events(f"blob.{how}")
        assert len(lines) == sum(line[f"blobs_{how}"] for line in ran.events("image.copied"))
        assert all({"mirror", "destination", "digest", "size_bytes"} <= set(line) for line in lines)
    (mounted,) = ran.events("blob.mounted")
    assert (mounted["mounted_from"], mounted["destination"].partition("/")[2].rpartition(":")[0]) in {
        (f"m/{lab.name}/one", f"m/{lab.name}/two"),
        (f"m/{lab.name}/two", f"m/{lab.name}/one"),
    }
    kept = lab.run("apply", "--log-level", "debug")
    assert len(kept.events("image.kept")) == 3
    assert not [line for line in lab.run("apply", "--refresh").logs if line["event"].startswith(("blob.", "image."))]


def test_platforms_make_one_deterministic_index(lab):
    """With `platforms` the index is rebuilt the same way each time; its children are unchanged."""
    import json

    wanted = lab.push("app", "1", index(1, platforms=("amd64", "arm64", "s390x")))
    lab.declare("app", "platforms: [linux/amd64, linux/arm64]")

    plan = lab.run("plan", "-o", "json").json
    assert lab.run("apply").code == 0

    pushed = lab.served_manifest("app", "1")
    assert "the digest becomes " + digest_of(pushed) in plan["changes"][0]["reason"]
    assert json.loads(pushed)["manifests"] == json.loads(wanted.raw)["manifests"][:2]
    assert lab.run("plan", "--detailed-exitcode").code == 0


def test_namespace_is_enumerated_and_excluded(lab):
    """All repositories of a namespace are mirrored, except excluded ones."""
    for repository in ("one", "two/deep", "three-canary"):
        lab.push(repository, "1", image(1))
    lab.declare("", namespaces=f"[{lab.name}]")
    path = "mirrors.d/a.yaml"
    assert lab.run("plan", "-o", "json").json["summary"]["create"] == 3
    assert path

    ran = lab.run("list", f"{lab.source_registry}/{lab.name}", env={"IMGSYNC_REGISTRIES": "list.yaml"})
    assert ran.code == 3, "a registries file that is missing is a fault"


def test_immutable_tag_is_checked_once_and_never_moved(lab):
    """A mirrored immutable tag costs no request; --refresh checks it and refuses a moved one."""
    first = lab.push("app", "v1", image(1))
    lab.declare("app", "immutable: ['v*']\ntags: {names: [v1]}")
    assert lab.run("apply").code == 0
    lab.push("app", "v1", image(2))
    lab.source.forget()

    assert lab.run("apply").code == 0
    assert lab.source.seen == []
    refused = lab.run("apply", "--refresh", "-o", "json")

    assert refused.code == 1
    assert refused.json["summary"]["refused"] == 1
    assert lab.served_manifest("app", "v1") == first.raw


def test_copy_needs_no_configuration(lab):
    """`imgsync copy` copies one image to the given place."""
    wanted = lab.push("app", "1", image(1))
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source_registry}: {{tls: false}}\n  {lab.destination_registry}: {{tls: false}}\n")

    ran = lab.run("copy", f"{lab.source_registry}/{lab.name}/app:1", f"{lab.destination_registry}/{lab.name}/other:one")

    assert ran.code == 0, ran.stderr
    assert witness(lab.destination_registry, f"{lab.name}/other:one") == wanted.raw
    assert lab.run("list", f"{lab.source_registry}/{lab.name}/app").stdout == "1\n"
    assert lab.run("list", f"{lab.source_registry}/{lab.name}").stdout == f"{lab.source_registry}/{lab.name}/app\n"
    assert lab.run("state", "list").stdout == f"{lab.destination_registry}/{lab.name}/other:one\n"
    assert lab.run("state", "remove", f"{lab.destination_registry}/**").stdout == "Removed 1 record.\n"


def test_copy_by_digest_pins_the_source(lab):
    """A digest is copied to the given tag; a missing digest is an error, a missing tag a usage error."""
    wanted = lab.push("app", "1", image(1))
    lab.push("app", "1", image(2))
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source_registry}: {{tls: false}}\n  {lab.destination_registry}: {{tls: false}}\n")
    target = f"{lab.destination_registry}/{lab.name}/other"

    assert lab.run("copy", f"{lab.source_registry}/{lab.name}/app@{wanted.digest}", f"{target}:one").code == 0
    assert lab.run("copy", f"{lab.source_registry}/{lab.name}/app:x@{wanted.digest}", target).code == 0
    missing = lab.run("copy", f"{lab.source_registry}/{lab.name}/app@sha256:{'0' * 64}", f"{target}:two", "-o", "json")
    tagless = lab.run("copy", f"{lab.source_registry}/{lab.name}/app@{wanted.digest}", target)

    assert witness(lab.destination_registry, f"{lab.name}/other:one") == wanted.raw
    assert lab.destination_registry.tags(f"{lab.name}/other") == ["one", "x"]
    assert missing.code == 1
    assert "does not exist at the source" in missing.json["errors"][0]["message"]
    assert tagless.code == 3
    assert "needs a destination with a tag" in tagless.stderr


def test_copy_copies_a_whole_repository(lab):
    """Without a tag every tag is copied under its own name, but not to a single tag."""
    wanted = {tag: lab.push("app", tag, image(tag)) for tag in ("1", "2", "latest")}
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source_registry}: {{tls: false}}\n  {lab.destination_registry}: {{tls: false}}\n")

    ran = lab.run("copy", f"{lab.source_registry}/{lab.name}/app", f"{lab.destination_registry}/{lab.name}/whole")

    assert ran.code == 0, ran.stderr
    for tag, content in wanted.items():
        assert witness(lab.destination_registry, f"{lab.name}/whole:{tag}") == content.raw
    assert lab.run("copy", f"{lab.source_registry}/{lab.name}/app", f"{lab.destination_registry}/{lab.name}/whole:1").code == 3


def test_plan_changes_nothing(lab):
    """A plan only reads, and leaves no state behind."""
    lab.push("app", "1", image(1))
    lab.declare("app")

    assert lab.run("plan", "--detailed-exitcode").code == 2

    assert {one.method for one in lab.destination.seen} <= {"HEAD", "GET"}
    assert not (lab.folder / ".imgsync").exists()


def test_documents_have_the_promised_fields(lab):
    """Plan, report and the image's log line have the documented fields."""
    lab.push("app", "1", image(1))
    lab.declare("app")

    plan = lab.run("plan", "-o", "json").json
    applied = lab.run("apply", "-o", "json")

    promised = {"format", "id", "created_at", "summary", "changes", "errors", "gone"}
    assert set(plan) == promised | {"mirrors", "requests", "applying", "seconds", "uncompared", "imgsync", "declarations", "whole", "only", "check"}
    assert set(plan["summary"]) == {"create", "update", "keep", "hold", "refuse", "delete", "error", "gone", "transfer_bytes"}
    change = {"action", "mirror", "source", "source_digest", "destination", "destination_digest", "media_type", "size_bytes", "reason"}
    assert set(plan["changes"][0]) == change
    report = applied.json
    assert set(report) == {"format", "plan_id", "summary", "outcomes"} | {"created_at", "errors", "gone", "stopped", "notes"}
    counts = {"copied", "kept", "failed", "refused", "deleted", "remaining", "bytes_copied", "blobs_copied", "blobs_mounted", "blobs_present", "seconds"}
    assert set(report["summary"]) == counts | {"held", "gone"}
    assert report["plan_id"] == plan["id"]
    promised = {"action", "mirror", "source", "destination", "digest", "crc32", "bytes_copied", "seconds", "attempts", "error"}
    assert set(report["outcomes"][0]) == promised | {"result", "blobs_copied", "blobs_mounted", "blobs_present", "reason"}
    line = applied.events("image.copied")[0]
    fields = {"mirror", "source", "destination", "digest", "crc32", "bytes_copied", "blobs_copied", "blobs_mounted", "blobs_present", "seconds", "attempts"}
    assert set(line) == fields | {"timestamp", "level", "event"}
    assert line["timestamp"].endswith("Z")


def test_media_types_are_kept(lab):
    """Media types are those of the manifest."""
    lab.push("app", "1", image(1, kind=DOCKER))
    lab.declare("app")
    assert lab.run("apply").code == 0

    _, headers, _ = request(
        lab.destination_registry, "HEAD", f"/v2/m/{lab.name}/app/manifests/1", headers={"Accept": f"{DOCKER['manifest']}, {OCI['manifest']}"}
    )

    assert headers["content-type"] == DOCKER["manifest"]


@pytest.mark.row("RUN-06")
@pytest.mark.parametrize("done", [False, True], ids=["before it is stored", "before it is answered"])
def test_record_is_written_only_after_the_answer(done, lab, state):
    """A tag whose PUT was cut has no record; the next run checks it."""
    content = lab.push("app", "1", image(lab.name))
    lab.declare("app", "referrers: false")
    held = lab.destination.add(HoldAnswer() if done else Hold(), method="PUT", target="/manifests/")
    process = lab.start("apply", "-o", "json", "--grace", "0s")
    held.reached()
    process.send_signal(signal.SIGTERM)
    ran = finish(process)

    assert ran.code == 75, ran.stderr
    assert (lab.served_manifest("app", "1") is not None) == done
    with state() as store:
        assert list(store.iter_records()) == []
    # What was held is let through or not, as the registry likes; either way the next run finds it out.
    lab.destination.clear()
    again = lab.run("apply", "-o", "json")
    assert again.code == 0, again.stderr
    assert lab.served_manifest("app", "1") == content.raw
    with state() as store:
        assert [record.digest for record in store.iter_records()] == [content.digest]
