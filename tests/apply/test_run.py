"""The main job on two real registries, through proxies that only watch."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import subprocess

import pytest

from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import open_state
from tests import switches
from tests.support.images import DOCKER, OCI, artifact, digest_of, image, index, layer, pull_raw, push, request
from tests.support.run_imgsync import finish
from tests.switches import Hold
from tests.switches.runtime import HoldAnswer


def witness(host: str, reference: str) -> bytes:
    """What skopeo reads."""
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
def test_apply_copies_every_kind_byte_for_byte(wanted, registry, second_registry, name, declare, imgsync):
    """Whatever a tag names arrives byte for byte, as an independent witness reads it."""
    push(registry, f"{name}/app", "1.0", wanted)
    declare(f"[{name}/app]")

    ran = imgsync("apply")

    assert ran.code == 0, ran.stderr
    assert witness(second_registry, f"m/{name}/app:1.0") == wanted.raw
    for digest, content in wanted.all_blobs.items():
        assert request(second_registry, "GET", f"/v2/m/{name}/app/blobs/{digest}")[2] == content


def test_apply_copies_exactly_the_selected_tags(registry, second_registry, name, declare, imgsync):
    """Tags that no filter selects stay behind."""
    for number, tag in enumerate(("v1.0.0", "v1.1.0", "v2.0.0", "v1.2.0-rc.1", "latest")):
        push(registry, f"{name}/app", tag, image(10 + number))
    declare(f"[{name}/app]", "tags: {semver: '>=1 <2', names: [latest, missing]}")

    ran = imgsync("apply")

    assert ran.code == 0, ran.stderr
    assert tags_of(second_registry, f"m/{name}/app") == ["latest", "v1.0.0", "v1.1.0"]


def test_second_apply_asks_the_destination_nothing(registry, name, declare, imgsync, source, destination):
    """Unchanged: no request to the destination, at most one manifest request per tag to the source."""
    for tag in ("1", "2", "3"):
        push(registry, f"{name}/app", tag, image(int(tag)))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    source.forget()
    destination.forget()

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0
    assert ran.json["summary"]["kept"] == 3
    assert destination.seen == []
    assert len(source.requests("/manifests/")) == 3
    assert all(text.startswith("HEAD") for text in source.requests("/manifests/"))


def test_lost_state_costs_a_head_per_tag_and_no_transfer(registry, name, declare, imgsync, source, destination, tmp_path):
    """Without its state, imgsync looks each tag up, adopts it, and moves nothing."""
    for tag in ("1", "2"):
        push(registry, f"{name}/app", tag, image(int(tag)))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    shutil.rmtree(tmp_path / ".imgsync")
    source.forget()
    destination.forget()

    ran = imgsync("apply", "-o", "json")

    assert ran.json["summary"] | {"seconds": 0} == ran.json["summary"] | {"kept": 2, "copied": 0, "bytes_copied": 0, "seconds": 0}
    assert sorted(destination.requests()) == [f"HEAD /v2/m/{name}/app/manifests/1", f"HEAD /v2/m/{name}/app/manifests/2"]
    assert source.requests("/blobs/") == []
    destination.forget()
    assert imgsync("apply").code == 0
    assert destination.seen == [], "what was adopted is remembered"
    assert {change["size_bytes"] for change in imgsync("plan", "-o", "json").json["changes"]} == {None}, "what was never read is unknown, not 0"


def test_moved_tag_moves_only_its_new_blobs(registry, second_registry, name, declare, imgsync, source, destination):
    """Of a moved tag only what is new is read and sent; other tags are left alone."""
    base = b"base" * 1000
    push(registry, f"{name}/app", "latest", image(1, layers=0, shared=base))
    push(registry, f"{name}/app", "other", image(2))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    moved = push(registry, f"{name}/app", "latest", image(3, layers=1, shared=base))
    source.forget()
    destination.forget()

    ran = imgsync("apply", "-o", "json")

    assert [(one["action"], one["bytes_copied"] > 0) for one in ran.json["outcomes"]] == [("update", True), ("keep", False)]
    assert not any(digest_of(base) in text for text in source.requests("GET /v2/.*/blobs/"))
    assert len(source.requests("GET /v2/.*/blobs/")) == 2
    assert pull_raw(second_registry, f"m/{name}/app", "latest") == moved.raw


def test_cold_copy_makes_only_the_needed_requests(registry, name, declare, imgsync, source, destination):
    """Per image: one GET per manifest and blob at the source; two requests per blob and one PUT per manifest at the destination."""
    push(registry, f"{name}/app", "1", image(1, layers=2))
    declare(f"[{name}/app]", "tags: {names: ['1']}\nreferrers: false")

    assert imgsync("apply").code == 0

    assert len(source.requests("GET /v2/.*/manifests/")) == 1
    assert len(source.requests("GET /v2/.*/blobs/")) == 3
    assert len(source.seen) == 4
    assert len(destination.requests("POST")) == 3
    assert len(destination.requests("PUT /v2/.*/blobs/uploads/")) == 3
    assert len(destination.requests("PUT /v2/.*/manifests/")) == 1
    assert len(destination.seen) == 8, "and one look-up of the tag, which no record knew"


def test_tag_is_pushed_last(registry, name, declare, imgsync, destination):
    """The tag appears only after everything it references is there."""
    push(registry, f"{name}/app", "1", index(1))
    declare(f"[{name}/app]")

    assert imgsync("apply").code == 0

    assert destination.requests()[-1] == f"PUT /v2/m/{name}/app/manifests/1"
    puts = destination.requests("PUT .*/manifests/sha256")
    assert len(puts) == 2
    assert destination.requests().index(puts[0]) > destination.requests().index(destination.requests("PUT .*/blobs/uploads/")[-1])


@pytest.mark.row("REG-25")
def test_shared_layer_is_read_from_the_source_once(registry, name, declare, imgsync, source, destination):
    """A layer of many images that are copied side by side moves once; the others mount it."""
    base = b"shared layer " * 20000
    for number in range(6):
        push(registry, f"{name}/app{number}", "1", image(100 + number, layers=1, shared=base))
    declare(f"[{', '.join(f'{name}/app{number}' for number in range(6))}]")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert len([text for text in source.requests("GET") if digest_of(base) in text]) == 1
    assert ran.json["summary"]["blobs_mounted"] == 5


@pytest.mark.row("ST-05")
def test_record_whose_crc32_does_not_fit_its_manifest_is_dropped(registry, name, declare, imgsync, source, destination, workplace):
    """crc32 guards the record: where the manifest is at hand and differs, a warning says so, the destination is asked, the record made anew."""
    content = push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    source.add(switches.headers(Docker_Content_Digest=None), target="/manifests/")
    assert imgsync("apply").code == 0
    state = str(workplace.folder / ".imgsync" / "state")
    with open_state(state, thread=NativeThread(), lock_timeout_seconds=0, on_warning=print) as store:
        record = store.get(f"{destination.host}/m/{name}/app:1")
        assert record.crc32 == content.crc32
        store.put([dataclasses.replace(record, crc32="00000000")])
    destination.forget()

    ran = imgsync("apply", "-o", "json")

    assert "does not match its manifest" in ran.events("state.degraded")[0]["reason"]
    assert destination.requests() == [f"HEAD /v2/m/{name}/app/manifests/1"]
    assert (ran.json["summary"]["kept"], ran.json["outcomes"][0]["digest"]) == (1, content.digest)
    assert f"crc32          {content.crc32}" in imgsync("state", "show", f"{destination.host}/m/{name}/app:1").stdout
    destination.forget()
    assert not imgsync("plan").logs[0].get("reason")
    assert destination.seen == []


def test_log_tells_of_each_blob_for_who_debugs(registry, name, declare, imgsync):
    """At debug level each blob is copied, mounted or present, as the image's own line counts them; at info none is told."""
    shared = layer("debug", 2000)
    push(registry, f"{name}/one", "1", image(1, layers=1, shared=shared))
    push(registry, f"{name}/two", "1", image(2, layers=1, shared=shared))
    push(registry, f"{name}/two", "2", image(3, layers=1, shared=shared))
    declare(f"[{name}/one, {name}/two]", "concurrency: {images: 1, blobs: 1}")

    ran = imgsync("apply", "--log-level", "debug")

    for how in ("copied", "mounted", "present"):
        lines = ran.events(f"blob.{how}")
        assert len(lines) == sum(line[f"blobs_{how}"] for line in ran.events("image.copied"))
        assert all({"mirror", "destination", "digest", "size_bytes"} <= set(line) for line in lines)
    (mounted,) = ran.events("blob.mounted")
    assert (mounted["mounted_from"], mounted["destination"].partition("/")[2].rpartition(":")[0]) in {
        (f"m/{name}/one", f"m/{name}/two"),
        (f"m/{name}/two", f"m/{name}/one"),
    }
    kept = imgsync("apply", "--log-level", "debug")
    assert len(kept.events("image.kept")) == 3
    assert not [line for line in imgsync("apply", "--refresh").logs if line["event"].startswith(("blob.", "image."))]


def test_platforms_make_one_deterministic_index(registry, second_registry, name, declare, imgsync):
    """With platforms, the index is built anew, the same each time, its children untouched, and the plan says so."""
    import json

    wanted = push(registry, f"{name}/app", "1", index(1, platforms=("amd64", "arm64", "s390x")))
    declare(f"[{name}/app]", "platforms: [linux/amd64, linux/arm64]")

    plan = imgsync("plan", "-o", "json").json
    assert imgsync("apply").code == 0

    pushed = pull_raw(second_registry, f"m/{name}/app", "1")
    assert "the digest becomes " + digest_of(pushed) in plan["changes"][0]["reason"]
    assert json.loads(pushed)["manifests"] == json.loads(wanted.raw)["manifests"][:2]
    assert imgsync("plan", "--detailed-exitcode").code == 0


def test_namespace_is_enumerated_and_excluded(registry, second_registry, name, declare, imgsync):
    """Every repository below a namespace is mirrored, less what exclude takes away."""
    for repository in ("one", "two/deep", "three-canary"):
        push(registry, f"{name}/{repository}", "1", image(1))
    declare("[]", namespaces=f"[{name}]")
    path = "mirrors.d/a.yaml"
    assert imgsync("plan", "-o", "json").json["summary"]["create"] == 3
    assert path

    ran = imgsync("list", f"{registry}/{name}", env={"IMGSYNC_REGISTRIES": "list.yaml"})
    assert ran.code == 3, "a registries file that is missing is a fault"


def test_immutable_tag_is_never_asked_again_and_never_moved(registry, second_registry, name, declare, imgsync, source):
    """Once mirrored, an immutable tag costs no request; --refresh asks, and refuses a moved one."""
    first = push(registry, f"{name}/app", "v1", image(1))
    declare(f"[{name}/app]", "immutable: ['v*']\ntags: {names: [v1]}")
    assert imgsync("apply").code == 0
    push(registry, f"{name}/app", "v1", image(2))
    source.forget()

    assert imgsync("apply").code == 0
    assert source.seen == []
    refused = imgsync("apply", "--refresh", "-o", "json")

    assert refused.code == 1
    assert refused.json["summary"]["refused"] == 1
    assert pull_raw(second_registry, f"m/{name}/app", "v1") == first.raw


def test_copy_needs_no_file(registry, second_registry, name, write, imgsync):
    """`imgsync copy` brings one image to where it is told."""
    wanted = push(registry, f"{name}/app", "1", image(1))
    write("registries.yaml", f"version: 1\nregistries:\n  {registry}: {{tls: false}}\n  {second_registry}: {{tls: false}}\n")

    ran = imgsync("copy", f"{registry}/{name}/app:1", f"{second_registry}/{name}/other:one")

    assert ran.code == 0, ran.stderr
    assert witness(second_registry, f"{name}/other:one") == wanted.raw
    assert imgsync("list", f"{registry}/{name}/app").stdout == "1\n"
    assert imgsync("list", f"{registry}/{name}").stdout == f"{registry}/{name}/app\n"
    assert imgsync("state", "list").stdout == f"{second_registry}/{name}/other:one\n"
    assert imgsync("state", "remove", f"{second_registry}/**").stdout == "Removed 1 record.\n"


def test_copy_by_digest_pins_the_source(registry, second_registry, name, write, imgsync):
    """A source by digest is copied to the tag that is told, though the tag moved; a missing one is an error, without a tag it is bad usage."""
    wanted = push(registry, f"{name}/app", "1", image(1))
    push(registry, f"{name}/app", "1", image(2))
    write("registries.yaml", f"version: 1\nregistries:\n  {registry}: {{tls: false}}\n  {second_registry}: {{tls: false}}\n")
    target = f"{second_registry}/{name}/other"

    assert imgsync("copy", f"{registry}/{name}/app@{wanted.digest}", f"{target}:one").code == 0
    assert imgsync("copy", f"{registry}/{name}/app:x@{wanted.digest}", target).code == 0
    missing = imgsync("copy", f"{registry}/{name}/app@sha256:{'0' * 64}", f"{target}:two", "-o", "json")
    tagless = imgsync("copy", f"{registry}/{name}/app@{wanted.digest}", target)

    assert witness(second_registry, f"{name}/other:one") == wanted.raw
    assert second_registry.tags(f"{name}/other") == ["one", "x"]
    assert missing.code == 1
    assert "404" in missing.json["errors"][0]["message"]
    assert tagless.code == 3
    assert "needs a tag" in tagless.stderr


def test_copy_takes_a_whole_repository(registry, second_registry, name, write, imgsync):
    """Without a tag every tag is copied under its own name; to one tag it cannot go."""
    wanted = {tag: push(registry, f"{name}/app", tag, image(tag)) for tag in ("1", "2", "latest")}
    write("registries.yaml", f"version: 1\nregistries:\n  {registry}: {{tls: false}}\n  {second_registry}: {{tls: false}}\n")

    ran = imgsync("copy", f"{registry}/{name}/app", f"{second_registry}/{name}/whole")

    assert ran.code == 0, ran.stderr
    for tag, content in wanted.items():
        assert witness(second_registry, f"{name}/whole:{tag}") == content.raw
    assert imgsync("copy", f"{registry}/{name}/app", f"{second_registry}/{name}/whole:1").code == 3


def test_plan_changes_nothing(registry, name, declare, imgsync, destination, tmp_path):
    """A plan sends nothing but questions, and leaves no state behind."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")

    assert imgsync("plan", "--detailed-exitcode").code == 2

    assert {one.method for one in destination.seen} <= {"HEAD", "GET"}
    assert not (tmp_path / ".imgsync").exists()


def test_documents_have_the_promised_fields(registry, name, declare, imgsync):
    """The fields of plan, report and the image's log line are those of design.md §4 and §5, and those that were added since."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")

    plan = imgsync("plan", "-o", "json").json
    applied = imgsync("apply", "-o", "json")

    promised = {"format", "id", "created_at", "summary", "changes", "errors"}
    assert set(plan) == promised | {"mirrors", "requests", "applying", "seconds", "uncompared", "imgsync", "declarations", "whole", "check"}
    assert set(plan["summary"]) == {"create", "update", "keep", "hold", "refuse", "delete", "error", "transfer_bytes"}
    change = {"action", "mirror", "source", "source_digest", "destination", "destination_digest", "media_type", "size_bytes", "reason"}
    assert set(plan["changes"][0]) == change
    report = applied.json
    assert set(report) == {"format", "plan_id", "summary", "outcomes"} | {"created_at", "errors", "stopped", "notes"}
    counts = {"copied", "kept", "failed", "refused", "deleted", "remaining", "bytes_copied", "blobs_copied", "blobs_mounted", "blobs_present", "seconds"}
    assert set(report["summary"]) == counts | {"held"}
    assert report["plan_id"] == plan["id"]
    promised = {"action", "mirror", "source", "destination", "digest", "crc32", "bytes_copied", "seconds", "attempts", "error"}
    assert set(report["outcomes"][0]) == promised | {"result", "blobs_copied", "blobs_mounted", "blobs_present", "reason"}
    line = applied.events("image.copied")[0]
    fields = {"mirror", "source", "destination", "digest", "crc32", "bytes_copied", "blobs_copied", "blobs_mounted", "blobs_present", "seconds", "attempts"}
    assert set(line) == fields | {"timestamp", "level", "event"}
    assert line["timestamp"].endswith("Z")


def test_config_media_types_travel_untouched(registry, second_registry, name, declare, imgsync):
    """Media types are the manifest's own, not ours."""
    push(registry, f"{name}/app", "1", image(1, kind=DOCKER))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0

    _, headers, _ = request(second_registry, "HEAD", f"/v2/m/{name}/app/manifests/1", headers={"Accept": f"{DOCKER['manifest']}, {OCI['manifest']}"})

    assert headers["content-type"] == DOCKER["manifest"]


@pytest.mark.row("RUN-06")
@pytest.mark.parametrize("done", [False, True], ids=["before it is stored", "before it is answered"])
def test_record_is_written_only_after_the_answer(done, registry, second_registry, name, declare, imgsync, start_imgsync, destination, state):
    """Cut while the tag's PUT is under way, stored or not: there is no record of it, and the next run finds out for itself."""
    content = push(registry, f"{name}/app", "1", image(name))
    declare(f"[{name}/app]", "referrers: false")
    held = destination.add(HoldAnswer() if done else Hold(), method="PUT", target="/manifests/")
    process = start_imgsync("apply", "-o", "json", "--grace", "0s")
    held.reached()
    process.send_signal(signal.SIGTERM)
    ran = finish(process)

    assert ran.code == 75, ran.stderr
    assert (pull_raw(second_registry, f"m/{name}/app", "1") is not None) == done
    with state() as store:
        assert list(store.iter_records()) == []
    # What was held is let through or not, as the registry likes; either way the next run finds it out.
    destination.clear()
    again = imgsync("apply", "-o", "json")
    assert again.code == 0, again.stderr
    assert pull_raw(second_registry, f"m/{name}/app", "1") == content.raw
    with state() as store:
        assert [record.digest for record in store.iter_records()] == [content.digest]
