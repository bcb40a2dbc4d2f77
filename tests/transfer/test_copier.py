"""The copy engine reads each source byte once, sends nothing twice, commits no wrong byte."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from tests import switches
from tests.support.faults import FaultProxy
from tests.support.images import digest_of, image, index, layer, pull_raw, request, with_layer
from tests.support.lab import Lab
from tests.support.run_imgsync import eventually, finish
from tests.support.witness import assert_served
from tests.switches import Distance, Hold, Respond

MEBIBYTE = 1 << 20


@pytest.fixture
def third(registry) -> Iterator[FaultProxy]:
    """A second destination: the source registry behind another proxy."""
    with FaultProxy(registry) as proxy:
        yield proxy


@pytest.fixture
def fan_out(lab, third):
    """Declare one mirror from the source to both destinations."""

    def declare(repositories: str, settings: str = "") -> None:
        hosts = [one.host for one in (lab.source, lab.destination, third)]
        lab.write(
            "mirrors.d/a.yaml",
            f"version: 1\nmirrors:\n  - name: a\n    source: {{registry: '{lab.source.host}', repositories: {repositories}}}\n    referrers: false\n"
            f"    destinations: ['{lab.destination.host}/m', '{third.host}/m3']\n    retry: {{attempts: 2, interval: 0s}}\n    {settings}\n",
        )
        lab.write("registries.yaml", "version: 1\nregistries:\n" + "".join(f"  {host}: {{tls: false}}\n" for host in hosts))

    return declare


def blob_reads(proxy: FaultProxy, digest: str) -> int:
    return len([one for one in proxy.seen if one.method == "GET" and one.path.endswith(f"/blobs/{digest}")])


def stored_blobs(proxy: FaultProxy) -> list[str]:
    """Return the digests of finished uploads, with repetitions."""
    done = [re.search(r"digest=sha256%3A([0-9a-f]{64})", one.target) for one in proxy.recorded("PUT .*uploads") if one.status == 201]
    return [f"sha256:{found[1]}" for found in done if found]


def await_manifest(lab: Lab, repository: str, raw: bytes) -> None:
    """Wait until the destination serves *raw* as tag 1."""
    # While the tag is written, docker-registry may answer a read of it with 500.
    eventually(lambda: [one for one in lab.destination.recorded(f"PUT .*/{repository}/manifests/1") if one.status == 201])
    assert lab.served_manifest(repository, "1") == raw


# --- one read, many writes


def test_each_byte_is_read_once_for_all_destinations(lab, fan_out):
    """Two destinations get an image whose blobs were read once."""
    content = lab.push("app", "1", index(1, layer_bytes=3 * MEBIBYTE))
    fan_out(f"[{lab.name}/app]")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert {digest: blob_reads(lab.source, digest) for digest in content.all_blobs} == dict.fromkeys(content.all_blobs, 1)
    lab.assert_served("app", "1", content)
    assert_served(lab.source_registry, f"m3/{lab.name}/app", "1", content)


@pytest.mark.row("REG-29")
def test_failing_destination_does_not_spoil_the_other(lab, fan_out, third):
    """One destination refuses blobs; the other gets its image, and each blob is read once."""
    content = lab.push("app", "1", image(1, layers=2, layer_bytes=6 * MEBIBYTE))
    third.add(Respond(403, {"errors": [{"code": "DENIED", "message": "no"}]}), method="PUT", target="/uploads/")
    fan_out(f"[{lab.name}/app]")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert [(one["destination"].partition("/")[0] == third.host, bool(one["error"])) for one in ran.json["outcomes"]] in (
        [(True, True), (False, False)],
        [(False, False), (True, True)],
    )
    lab.assert_served("app", "1", content)
    assert pull_raw(lab.source_registry, f"m3/{lab.name}/app", "1") is None


@pytest.mark.row("DOS-07")
def test_stalled_destination_does_not_stall_the_other(lab, fan_out, third):
    """The other gets its image meanwhile; the bytes kept for the first one do not change."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=12 * MEBIBYTE))
    held = Hold()
    third.add(held, method="PUT", target="/uploads/")
    fan_out(f"[{lab.name}/app]")

    running = lab.start("apply", "-o", "json")
    held.reached()
    await_manifest(lab, "app", content.raw)
    held.release()
    ran = finish(running)

    assert ran.code == 0, ran.stderr
    assert pull_raw(lab.source_registry, f"m3/{lab.name}/app", "1") == content.raw


def test_late_destination_does_not_wait_for_one_that_has_the_blob(lab, fan_out, third):
    """Who begins its upload when the other has ended reads alone: nothing is kept for the other, or waits for it."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=6 * MEBIBYTE))
    held = Hold()
    third.add(held, method="POST", target="/uploads/")
    fan_out(f"[{lab.name}/app]")
    code = """
    from pathlib import Path
    from imgsync.transfer.shared_read import SharedRead
    def init(self, *given, begin=SharedRead.__init__, **named):
        with Path("shared").open("a") as file:
            file.write("one\\n")
        begin(self, *given, **named)
    SharedRead.__init__ = init
    """

    running = lab.workplace.start_with(code, "apply", "-o", "json")
    held.reached()
    await_manifest(lab, "app", content.raw)
    held.release()
    ran = finish(running)

    assert ran.code == 0, ran.stderr
    assert (lab.folder / "shared").read_text() == "one\n" * 2, "of its two blobs, by the first destination"
    assert pull_raw(lab.source_registry, f"m3/{lab.name}/app", "1") == content.raw


@pytest.mark.row("DIG-04")
def test_wrong_bytes_reach_no_destination(lab, fan_out):
    """Bytes that do not match the digest are committed nowhere."""
    content = lab.push("bad", "1", image(1, layers=1, layer_bytes=3 * MEBIBYTE))
    bad = next(iter(content.blobs))
    lab.source.add(switches.corrupt_byte(2 * MEBIBYTE), method="GET", target=bad)
    fan_out(f"[{lab.name}/bad]")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert all("got sha256" in one["error"] for one in ran.json["outcomes"])
    for host, path in ((lab.destination_registry, "m"), (lab.source_registry, "m3")):
        assert request(host, "HEAD", f"/v2/{path}/{lab.name}/bad/blobs/{bad}")[0] == 404
        assert pull_raw(host, f"{path}/{lab.name}/bad", "1") is None


def test_cut_download_is_resumed_for_all_destinations(lab, fan_out):
    """A download that breaks is resumed once, at the byte reached."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=6 * MEBIBYTE))
    large = next(iter(content.blobs))
    lab.source.add(switches.drop_body_after(2 * MEBIBYTE), method="GET", target=large, times=1)
    fan_out(f"[{lab.name}/app]")

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    ranges = [one.headers.get("range") for one in lab.source.seen if one.path.endswith(large)]
    assert (len(ranges), ranges[0]) == (2, None)
    lab.assert_served("app", "1", content)
    assert_served(lab.source_registry, f"m3/{lab.name}/app", "1", content)


# --- far sources


@pytest.fixture
def far(source) -> FaultProxy:
    """Make the source slow to answer."""
    source.add(Distance())
    return source


def ranges_of(proxy: FaultProxy, digest: str) -> list[tuple[int, int]]:
    headers = [one.headers.get("range", "") for one in proxy.seen if one.path.endswith(digest)]
    return [(int(found[1]), int(found[2])) for found in (re.fullmatch(r"bytes=(\d+)-(\d+)", text) for text in headers) if found]


def test_large_blob_is_read_in_parallel_ranges(lab, far):
    """Every byte is requested once, in overlapping requests, and the blob is right."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=11 * MEBIBYTE))
    large = next(iter(content.blobs))
    lab.declare("app")

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    ranges = sorted(ranges_of(far, large))
    assert [begin for begin, _ in ranges] == [0, *(end + 1 for _, end in ranges[:-1])]
    assert ranges[-1][1] == len(content.blobs[large]) - 1
    reads = [one for one in far.seen if one.path.endswith(large)]
    assert any(one.began < other.began < (one.ended or 0) for one in reads for other in reads), "two were under way at a time"
    lab.assert_served("app", "1", content)


@pytest.mark.row("NET-09", "NET-10")
@pytest.mark.parametrize(
    "switch",
    [switches.no_ranges(), switches.shifted_ranges(), switches.headers(Content_Range=None), switches.headers(Content_Range="bytes 0-0/9")],
    ids=["ignored", "other bytes", "unsaid", "said wrongly"],
)
def test_source_with_wrong_ranges_is_read_whole(switch, lab, far):
    """If ranges cannot be trusted, the blob is read in one request."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=11 * MEBIBYTE))
    far.add(switch, method="GET", target="/blobs/")
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    lab.assert_served("app", "1", content)


def test_cut_range_is_resumed(lab, far):
    """Only the rest of the broken range is requested again."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=11 * MEBIBYTE))
    large = next(iter(content.blobs))
    far.add(switches.drop_body_after(300_000), method="GET", target=large, nth=2)
    lab.declare("app")

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    asked = sum(end - begin + 1 for begin, end in ranges_of(far, large))
    assert len(content.blobs[large]) < asked <= len(content.blobs[large]) + 2 * MEBIBYTE
    lab.assert_served("app", "1", content)


@pytest.mark.row("DIG-04")
def test_wrong_byte_in_a_range_is_never_committed(lab, far):
    """The digest of the whole finds a wrong byte in a range."""
    content = lab.push("bad", "1", image(1, layers=1, layer_bytes=11 * MEBIBYTE))
    large = next(iter(content.blobs))
    far.add(switches.corrupt_byte(), method="GET", target=large, nth=3)
    lab.declare("bad")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert request(lab.destination_registry, "HEAD", f"/v2/m/{lab.name}/bad/blobs/{large}")[0] == 404


# --- waiting


def test_copying_starts_before_the_plan_is_complete(lab):
    """Other tags are copied while one manifest is slow."""
    first = lab.push("app", "1", image(1))
    last = lab.push("app", "2", image(2))
    held = Hold()
    lab.source.add(held, method="GET", target="/manifests/2$")
    # One by one: the first pull goes alone until it shows whether pulls are counted, and it must not be the one that is held.
    lab.declare("app", "concurrency: {queries: 1}\nreferrers: false")

    running = lab.start("apply", "-o", "json")
    held.reached()
    await_manifest(lab, "app", first.raw)
    held.release()
    ran = finish(running)

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["copied"] == 2
    assert lab.served_manifest("app", "2") == last.raw


def test_max_changes_waits_for_the_whole_plan(lab):
    """With --max-changes nothing is sent before the plan is complete and within the limit."""
    for tag in "123":
        lab.push("app", tag, image(int(tag)))
    lab.declare("app")

    ran = lab.run("apply", "--max-changes", "2")

    assert ran.code == 1
    assert {one.method for one in lab.destination.seen} <= {"HEAD", "GET"}


def test_at_least_waits_for_enough_tags(lab):
    """A mirror copies nothing before `at_least` tags are known; with fewer, nothing at all."""
    lab.push("app", "1", image(1))
    lab.push("app", "2", image(2))
    lab.source.add(Respond(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]}), target="/manifests/2$")
    lab.declare("app", "tags: {at_least: 2}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "fewer than at_least: 2" in ran.json["errors"][0]["message"]
    assert lab.served_manifest("app", "1") is None
    assert lab.destination.requests("POST") == []


def test_two_mirrors_with_one_destination_copy_nothing(lab):
    """A conflict that only the whole plan shows is an error before any copy."""
    lab.push("one/app", "1", image(1))
    lab.push("two/app", "1", image(2))
    mirrors = "".join(
        f"  - {{name: {part}, source: {{registry: '{lab.source.host}', namespaces: ['{lab.name}/{part}']}}, "
        f"destinations: [{{registry: '{lab.destination.host}', namespace: 'm/{lab.name}', repository: '{{name}}'}}]}}\n"
        for part in ("one", "two")
    )
    lab.write("mirrors.d/a.yaml", f"version: 1\nmirrors:\n{mirrors}")
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false}}\n  {lab.destination.host}: {{tls: false}}\n")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1, ran.stdout
    assert lab.served_manifest("app", "1") is None
    assert lab.destination.requests("POST") == []


def test_waiting_for_a_blob_blocks_no_worker(lab):
    """While an image waits for a shared blob, the other image's own blob is copied."""
    base = layer(("wait", lab.name), 200_000)
    images = [lab.push(f"app{number}", "1", image((lab.name, number), layers=1, shared=base)) for number in range(2)]
    held = Hold()
    lab.destination.add(held, method="PUT", target=digest_of(base).replace(":", "%3A"), nth=1)
    lab.declare("app0 app1", "concurrency: {blobs: 1}\nreferrers: false")

    running = lab.start("apply", "-o", "json")
    held.reached()
    own = {digest for content in images for digest in content.blobs} - {digest_of(base)}
    eventually(lambda: own & set(stored_blobs(lab.destination)))
    held.release()
    ran = finish(running)

    assert ran.code == 0, ran.stderr
    assert [one.status for one in lab.destination.recorded(f"POST .*{digest_of(base)}")] == [201]
    assert len(stored_blobs(lab.destination)) == len({digest for content in images for digest in content.all_blobs})


def test_shared_blob_is_mounted_in_parallel(lab):
    """Mounts of an uploaded blob do not wait for one another."""
    base = layer(("mounts", lab.name), 2000)
    for number in range(4):
        lab.push(f"app{number}", "1", image((lab.name, number), layers=0, shared=base))
    held = Hold()
    lab.declare([f"app{number}" for number in range(4)], "referrers: false")
    lab.destination.add(held, method="POST", target=f"mount={digest_of(base)}&from=m/{lab.name}/app", nth=(1, 2, 3))

    running = lab.start("apply", "-o", "json")
    for _ in range(3):
        # Three mounts are under way at once: one after the other, the second would never come here.
        held.reached()
    held.release()

    assert finish(running).code == 0


def test_small_images_do_not_queue_behind_large_ones(lab):
    """Large images leave one worker free for small ones."""
    # No byte of them is read, so they need not have the size that they declare.
    large = [lab.push(f"a{number}", "1", with_layer(image((lab.name, number)), size=65 * MEBIBYTE)) for number in range(2)]
    small = lab.push("b", "1", image((lab.name, "small")))
    held = Hold()
    for content in large:
        lab.source.add(held, method="GET", target=next(iter(content.blobs)))
    lab.declare("a0 a1 b", "concurrency: {images: 2}\nreferrers: false")

    running = lab.start("apply", "-o", "json")
    held.reached()
    await_manifest(lab, "b", small.raw)
    # What is seen is enough; copying the large ones would take seconds.
    running.kill()
    finish(running)


def test_requests_to_a_registry_share_few_connections(lab):
    """`connections` limits each side, and connections are reused."""
    for tag in range(6):
        lab.push("app", str(tag), image((lab.name, tag), layers=3))
    lab.declare("app", "concurrency: {images: 6, blobs: 4, queries: 6}")
    hosts = (lab.source.host, lab.destination.host)
    lab.write("registries.yaml", "version: 1\nregistries:\n" + "".join(f"  {host}: {{tls: false, connections: 2}}\n" for host in hosts))

    assert lab.run("apply").code == 0

    for proxy in (lab.source, lab.destination):
        assert proxy.most_open <= 3
        assert len(proxy.seen) > 20


def test_slow_token_delays_only_its_repository(lab):
    """A token server that is slow for one repository delays only that one."""
    images = {part: lab.push(part, "1", image((lab.name, part))) for part in ("one", "two")}
    held = Hold()
    lab.destination.add(held, target=f"^/token.*{lab.name}%2Fone")
    lab.destination.add(Respond(200, {"token": "THE-SECRET", "expires_in": 300}), target="^/token")
    challenge = f'Bearer realm="http://{lab.destination.host}/token",service="x"'
    lab.destination.add(switches.require_authorization("Bearer THE-SECRET", challenge), target="^/v2/")
    lab.declare("one two", "referrers: false")

    running = lab.start("apply")
    held.reached()
    await_manifest(lab, "two", images["two"].raw)
    held.release()
    ran = finish(running)

    assert ran.code == 0, ran.stderr
    tokens = Counter(one.target for one in lab.destination.recorded("GET /token"))
    assert list(tokens.values()) == [1, 1]


# --- few requests, nothing twice


def test_new_repository_costs_two_requests(lab):
    """The first tag gets a HEAD; if it is missing, one tag list answers for all others."""
    for tag in range(5):
        lab.push("app", str(tag), image((lab.name, tag)))
    lab.declare("app", "referrers: false")

    assert lab.run("plan", "--detailed-exitcode").code == 2

    assert [one.partition(" ")[0] for one in lab.destination.requests()] == ["HEAD", "GET"]
    assert lab.destination.requests()[1].endswith("/tags/list")


def test_tag_in_the_list_is_adopted(lab):
    """If the first tag is missing, tags in the list are checked and recorded."""
    content = lab.push("app", "1", image(1))
    lab.push("app", "2", image(2))
    lab.push_to_destination("app", "2", image(2))
    lab.declare("app", "concurrency: {queries: 1}\nreferrers: false")

    ran = lab.run("apply", "-o", "json")

    assert (ran.json["summary"]["copied"], ran.json["summary"]["kept"]) == (1, 1)
    assert lab.served_manifest("app", "1") == content.raw
    assert len(lab.destination.recorded("HEAD")) == 2


def test_manifests_are_fetched_once_in_a_run(lab):
    """A child of two indexes is read once, and copying reuses manifests of the plan."""
    shared, own = image((lab.name, "shared")), image((lab.name, "own"))
    lab.push("app", "1", index(children=[shared]))
    lab.push("app", "2", index(children=[shared, own]))
    lab.declare("app", "referrers: false\nconcurrency: {queries: 1}")

    assert lab.run("apply").code == 0

    gets = Counter(one.path for one in lab.source.recorded("GET .*/manifests/"))
    assert set(gets.values()) == {1}
    assert len(gets) == 4


def test_killed_run_sends_no_finished_blob_again(lab):
    """The next run finds it by the mount request, and sends only the other blob."""
    content = lab.push("app", "1", image(1, layers=2, layer_bytes=50_000))
    held = Hold()
    lab.destination.add(held, method="PUT", target="/uploads/", nth=2)
    lab.declare("app", "concurrency: {blobs: 1}\nreferrers: false")
    running = lab.start("apply")
    held.reached()
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert len(stored_blobs(lab.destination)) == 1
    # What was held may be let through now, whole: then it is finished too.
    lab.destination.clear()

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert Counter(stored_blobs(lab.destination)) == dict.fromkeys(content.all_blobs, 1)
    assert ran.json["summary"]["blobs_present"] >= 1
    lab.assert_served("app", "1", content)


@pytest.mark.row("REG-14")
@pytest.mark.row("DIG-20")
def test_registry_with_false_mounts_gets_the_blobs(lab):
    """It answers 201 to mounts and has nothing; after it refuses the manifest, blobs are sent."""
    content = lab.push("app", "1", image(1, layers=2))
    lab.destination.add(switches.mounts_what_it_has_not(), method="POST")
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    lab.assert_served("app", "1", content)
    assert ran.json["summary"]["blobs_copied"] == 3
    assert len(lab.destination.requests("PUT .*/blobs/uploads/")) == 3, "each once"


def test_declared_chunk_size_is_used_from_the_first_blob(lab):
    """No request is larger, and none is refused first."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=5 * MEBIBYTE))
    lab.destination.add(switches.BodyLimit(2 * MEBIBYTE), method="PUT|PATCH")
    lab.declare("app")
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false}}\n  {lab.destination.host}: {{tls: false, chunk_size: 2MiB}}\n")

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    assert [one for one in lab.destination.seen if one.status == 413] == []
    sizes = [int(one.headers["content-length"]) // MEBIBYTE for one in lab.destination.recorded("PATCH")]
    assert sizes == [2, 2, 1]
    lab.assert_served("app", "1", content)
    assert '"chunk_size": "2MiB"' in json.dumps(_shown(lab.run))


def _shown(imgsync) -> object:
    import yaml

    return list(yaml.safe_load_all(imgsync("validate", "--show").stdout))


def test_destination_that_closes_after_each_chunk_gets_them_all(lab):
    """`Connection: close` costs connections, not the image."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=5 * MEBIBYTE))
    lab.destination.add(switches.headers(Connection="close"), method="PATCH")
    lab.declare("app")
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false}}\n  {lab.destination.host}: {{tls: false, chunk_size: 1MiB}}\n")

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    lab.assert_served("app", "1", content)


@pytest.mark.row("REG-04")
def test_token_refused_between_chunks_does_not_restart_the_upload(lab):
    """The same chunk is sent with a new token, and nothing is read twice."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=5 * MEBIBYTE))
    large = next(iter(content.blobs))
    challenge = f'Bearer realm="http://{lab.destination.host}/token",service="x"'
    lab.destination.add(Respond(200, {"token": "A-SECRET", "expires_in": 300}), target="^/token")
    lab.destination.add(Respond(401, headers={"WWW-Authenticate": challenge}), method="GET|HEAD", target="^/v2/", nth=1)
    lab.destination.add(Respond(401, early=True, headers={"WWW-Authenticate": challenge}), method="PATCH", nth=2)
    lab.declare("app", "referrers: false")
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false}}\n  {lab.destination.host}: {{tls: false, chunk_size: 2MiB}}\n")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert blob_reads(lab.source, large) == 1
    assert len(lab.destination.recorded("POST")) == len(content.all_blobs)
    assert [one.status for one in lab.destination.recorded("PATCH")] == [202, 401, 202, 202]
    assert ran.json["outcomes"][0]["attempts"] == 1
    lab.assert_served("app", "1", content)


@pytest.mark.row("REG-09")
def test_large_body_is_announced_first(lab):
    """Refused as too large, it is sent in chunks, and the source is read once."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=33 * MEBIBYTE))
    large = next(iter(content.blobs))
    lab.destination.add(switches.BodyLimit(20 * MEBIBYTE), method="PUT|PATCH")
    lab.declare("app", "referrers: false")

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    # Each byte once: on a slow machine the source counts as far away, and is read in several ranges.
    assert sum(one.bytes_down for one in lab.source.recorded(f"GET .*{large}")) == len(content.blobs[large])
    assert [one.bytes_up for one in lab.destination.seen if one.status == 413] == [0]
    assert lab.served_manifest("app", "1") == content.raw
