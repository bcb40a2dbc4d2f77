"""Uploads: sessions, locations, chunks."""

from __future__ import annotations

import time

import pytest

from tests import switches
from tests.support.images import first_layer, image
from tests.support.logins import BASIC
from tests.support.outcomes import error_of, errors_by_repository
from tests.support.run_imgsync import finish
from tests.support.uploads import sent, sessions
from tests.switches import Hold, Respond
from tests.switches.net import (
    EarlyAnswer,
    OddLocations,
    second_location,
    slow_to_commit,
)


@pytest.mark.row("AUTH-08")
@pytest.mark.parametrize("where", ["POST", "PATCH"])
@pytest.mark.parametrize("login", ["", "user:word@"], ids=["plain", "with a login"])
def test_upload_goes_to_no_other_host(where, login, lab, declare_login):
    """A session on another host gets no byte of the blob and no credential; nothing is tagged."""
    lab.push("app", "1", image(1, layers=0, shared=bytes(100_000)))
    lab.destination.add(switches.headers(Location=f"http://{login}{lab.other_host.host}/v2/upload"), method=where, target="/uploads/")
    lab.destination.add(switches.require_authorization(BASIC, 'Basic realm="x"'))
    declare_login(at="destination", **({"chunk_size": "64KiB"} if where == "PATCH" else {}))

    message = error_of(lab.run("apply", "-o", "json"))

    assert lab.other_host.seen == []
    assert ("Location contains credentials" if login else "another host, 127.0.0.2") in message
    assert lab.served_tags("app") == []


@pytest.mark.row("AUTH-08")
def test_invalid_upload_location_fails_one_image(lab):
    """Either an error of that image, or a request to the registry itself."""
    odd = [
        "http://[::1/u",
        "http://127.0.0.1:99999/u",
        "http://127.0.0.1",
        "http://127.0.0.1?u",
        "//",
        "mailto:me@127.0.0.1",
        "http:///u",
        "http://\u2100.example/",
    ]
    for number, said in enumerate(odd):
        lab.push(f"app{number}", "1", image((lab.name, number), layers=1))
        head = f"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\nLocation: {said}\r\n\r\n"
        lab.destination.add(switches.Raw(head.encode()), method="POST", target=f"app{number}/")
    lab.push("good", "1", image((lab.name, "good"), layers=1))
    lab.declare([*(f"app{number}" for number in range(len(odd))), "good"], retry="{attempts: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert [one["source"].partition(f"{lab.name}/")[2] for one in ran.json["outcomes"] if not one["error"]] == ["good:1"]
    assert len(ran.json["outcomes"]) == len(odd) + 1
    assert lab.served_tags("app0") == []


@pytest.mark.row("AUTH-09")
@pytest.mark.parametrize(
    "said", ["http://127.0.0.1{port}{rest}", "http://127.0.0.1{rest}", "//127.0.0.1:80{rest}"], ids=["http", "without the port", "another port"]
)
def test_http_location_of_a_tls_registry_stays_on_tls(said, lab, declare_login, secure):
    """Path and query are used with our own scheme and port."""
    content = lab.push("app", "1", image(1))
    with secure(lab.destination_registry) as proxy:
        proxy.add(switches.location(lambda url: said.format(port=f":{lab.destination.port}", rest="/" + url.split("/", 3)[3])), method="POST")
        proxy.add(switches.require_authorization(BASIC, 'Basic realm="x"'))
        declare_login(to=proxy, at="destination")

        ran = lab.run("apply", "-o", "json")

        assert ran.code == 0, ran.stderr
        lab.assert_served("app", "1", content)
        assert len(proxy.requests("PUT .*/uploads/")) == len(content.blobs)
    assert lab.destination.seen == []


MEBIBYTE = 1 << 20


@pytest.mark.row("REG-01", "REG-03", "REG-28")
@pytest.mark.parametrize(
    ("switch", "method"),
    [
        (Respond(404, {"errors": [{"code": "BLOB_UPLOAD_UNKNOWN"}]}), "PATCH"),
        (Respond(404, {"errors": [{"code": "blob_upload_unknown"}]}), "PUT"),
        (Respond(416, headers={"Range": "0-99"}), "PATCH"),
    ],
    ids=["lost in the middle", "lost in the end", "part is lost"],
)
def test_lost_session_is_restarted(switch, method, lab):
    """Another session takes the blob, and none is left open."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=300_000))
    lab.destination.add(switch, method=method, target="/uploads/", nth=2)
    lab.declare("app", "referrers: false\nconcurrency: {blobs: 1}")
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source}: {{tls: false}}\n  {lab.destination}: {{tls: false, chunk_size: 128KiB}}\n")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    lab.assert_served("app", "1", content)
    assert sessions(lab.destination_registry, f"m/{lab.name}/app") == []


@pytest.mark.row("REG-01")
def test_session_that_is_lost_each_time_is_one_clear_error(lab):
    """After as many attempts as declared."""
    lab.push("app", "1", image(1, layers=1))
    lab.destination.add(Respond(404, {"errors": [{"code": "BLOB_UPLOAD_UNKNOWN", "message": "gone"}]}), method="PUT", target="/uploads/")
    lab.declare("app", "referrers: false\nconcurrency: {blobs: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "404 BLOB_UPLOAD_UNKNOWN: gone" in ran.json["outcomes"][0]["error"]
    assert len(lab.destination.requests("PUT .*/uploads/")) == 2
    assert lab.served_tags("app") == []


@pytest.mark.row("REG-02", "REG-28")
def test_broken_upload_is_sent_again(lab):
    """At most twice the bytes are sent, and at most one session is left."""
    size = MEBIBYTE
    breaks = {
        "first": switches.break_upload_after(1),
        "middle": switches.break_upload_after(size // 2),
        "last": switches.break_upload_after(size),
        "error": switches.status(500),
        "early": switches.status(502, early=True),
    }
    contents = {}
    for path, switch in breaks.items():
        contents[path] = lab.push(path, "1", image(path, layers=1, layer_bytes=size))
        lab.destination.add(switch, method="PUT", target=f"{lab.name}/{path}/.*{first_layer(contents[path]).replace(':', '%3A')}", times=1)
    lab.declare(breaks, "referrers: false\nconcurrency: {blobs: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    for path, content in contents.items():
        lab.assert_served(path, "1", content)
        digest = first_layer(content)
        assert sent(lab.destination, digest) <= 2 * len(content.blobs[digest]), path
        # A session that broke between two states can be left to the registry, which forgets it in time.
        assert len(sessions(lab.destination_registry, f"m/{lab.name}/{path}")) <= 1, path


LOCATIONS = [
    ("http://{host}/u/1", "/u/1"),
    ("/u/2", "/u/2"),
    ("3", "{base}/3"),
    ("../uploads/4", "{base}/4"),
    ("//{host}/u/5", "/u/5"),
    ("/u/6?_state=abc%3D%3D", "/u/6?_state=abc%3D%3D"),
    ("/u/7?_state=a+b/c==", "/u/7?_state=a+b/c=="),
    ("/u/8%2Fx%2fy", "/u/8%2Fx%2fy"),
    ("/u/9?a=%41&b=%7e~", "/u/9?a=%41&b=%7e~"),
    # An empty query is none.
    ("/u/10?", "/u/10"),
    ("http://{host}/u/11?q=a?b", "/u/11?q=a?b"),
    ("/u/12;x=1/@:!$'()*,?digest_hint=x&s=a%2Bb%26c", "/u/12;x=1/@:!$'()*,?digest_hint=x&s=a%2Bb%26c"),
]


@pytest.mark.row("REG-05")
def test_location_is_used_byte_for_byte(lab):
    """Twelve forms of Location; the digest is appended."""
    content = lab.push("app", "1", image((lab.name, "locations"), layers=len(LOCATIONS) - 1))
    odd = lab.destination.add(OddLocations(lab.destination.host, LOCATIONS))
    lab.declare("app", "referrers: false\nconcurrency: {blobs: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert len(odd.got) == len(LOCATIONS)
    assert odd.got == odd.wanted
    assert ran.events("request.retried") == []
    lab.assert_served("app", "1", content)


@pytest.mark.row("REG-06")
def test_missing_location_is_an_error_and_of_two_the_first_counts(lab):
    """The second one is never followed."""
    faults = {
        "missing": switches.headers(Location=None),
        "empty": switches.headers(Location=""),
        "first": second_location(f"{lab.other_host.url}/u", first=True),
        "second": second_location(f"{lab.other_host.url}/u"),
    }
    contents = {}
    for path, switch in faults.items():
        contents[path] = lab.push(path, "1", image(path, layers=1))
        lab.destination.add(switch, method="POST", target=f"{lab.name}/{path}/")
    lab.declare(faults, "referrers: false\nconcurrency: {blobs: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    errors = errors_by_repository(ran)
    assert set(errors) == {"missing", "empty", "first"}
    assert all("without a valid Location" in errors[path] for path in ("missing", "empty"))
    assert "the upload's Location is on another host, 127.0.0.2" in errors["first"]
    assert lab.other_host.seen == []
    lab.assert_served("second", "1", contents["second"])


@pytest.mark.row("REG-07")
def test_impossible_minimum_chunk_is_one_clear_error(lab):
    """If the minimum exceeds what the registry accepts, the error comes after a few requests."""
    lab.push("app", "1", image(1, layers=0, shared=b"absurd" * MEBIBYTE))
    lab.destination.add(switches.BodyLimit(MEBIBYTE), method="PUT|PATCH")
    lab.destination.add(switches.chunk_min_length(10**12), method="POST")
    lab.declare("app", "referrers: false\nconcurrency: {blobs: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "(destination): 413" in ran.json["outcomes"][0]["error"]
    assert len(lab.destination.requests("(PUT|PATCH) .*/uploads/")) <= 8
    assert lab.served_tags("app") == []


@pytest.mark.row("REG-08")
def test_registry_that_drops_later_chunks_is_detected(lab):
    """Before the blob counts; the error names the setting."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=300_000))
    lab.destination.add(switches.loses_chunks(), method="PATCH")
    lab.declare("app", "referrers: false")
    registry_settings = f"version: 1\nregistries:\n  {lab.source}: {{tls: false}}\n  {lab.destination}: {{tls: false"
    lab.write("registries.yaml", f"{registry_settings}, chunk_size: 128KiB}}\n")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "the registry reports 1 bytes after 131072 were sent" in ran.json["outcomes"][0]["error"]
    assert "remove chunk_size from registries.yaml" in ran.json["outcomes"][0]["error"]
    assert lab.served_tags("app") == []
    lab.write("registries.yaml", f"{registry_settings}}}\n")
    lab.destination.forget()
    assert lab.run("apply").code == 0
    assert lab.destination.requests("PATCH") == []
    lab.assert_served("app", "1", content)


@pytest.mark.row("NET-17")
def test_early_response_to_an_upload_counts(lab):
    """A refusal before the body was read is the error, also if the registry stops reading."""
    early = {"hangs-up": EarlyAnswer(507, "no room left", reset=True), "stays": EarlyAnswer(507, "no room left", reset=False)}
    for path, switch in early.items():
        lab.push(path, "1", image(path, layers=0, shared=f"{path:16}".encode() * MEBIBYTE))
        lab.destination.add(switch, method="PUT", target=f"{lab.name}/{path}/blobs/uploads/")
    good = lab.push("good", "1", image("good"))
    lab.declare("hangs-up stays good", "timeouts: {request: 2s}\nconcurrency: {blobs: 1}\nreferrers: false")

    began = time.monotonic()
    ran = lab.run("apply", "-o", "json")
    took = time.monotonic() - began
    early["stays"].release()

    assert ran.code == 1
    errors = errors_by_repository(ran)
    assert {path: "(destination): 507 DENIED: no room left" in error for path, error in errors.items()} == {"hangs-up": True, "stays": True}
    assert took < 30
    lab.assert_served("good", "1", good)


@pytest.mark.row("NET-18")
def test_upload_waits_for_the_source_s_first_byte(lab):
    """One session and one upload, however slow the source starts."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=2 * MEBIBYTE))
    held = lab.source.add(Hold(after_bytes=0), method="GET", target=first_layer(content))
    lab.declare("app", "referrers: false\nconcurrency: {blobs: 1}")

    running = lab.start("apply", "-o", "json")
    held.reached()
    released = time.monotonic_ns()
    held.release()
    ran = finish(running)

    assert ran.code == 0, ran.stderr
    digest = first_layer(content)
    puts = lab.destination.recorded(f"^PUT .*digest={digest.replace(':', '%3A')}")
    assert len(puts) == 1
    assert len(lab.destination.recorded("^POST ")) == len(content.all_blobs)
    assert puts[0].began > released
    lab.assert_served("app", "1", content)


@pytest.mark.row("NET-19")
def test_slow_commit_of_a_blob_is_awaited(lab):
    """The last response may take longer than any other, and nothing is sent twice."""
    content = lab.push("app", "1", image(1, layers=1))
    lab.destination.add(slow_to_commit(2.5), method="PUT", target="/uploads/", times=1)
    lab.declare("app", "timeouts: {request: 1s}\nreferrers: false")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert len(lab.destination.requests("PUT .*/uploads/")) == 2
    assert ran.events("request.retried") == []
    lab.assert_served("app", "1", content)


@pytest.mark.row("NET-20")
def test_upload_whose_answer_was_lost_is_not_sent_again(lab):
    """The next attempt checks for the blob and finds it."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=MEBIBYTE))
    digest = first_layer(content)
    lab.destination.add(switches.reset(), method="PUT", target=digest.replace(":", "%3A"), times=1)
    lab.destination.add(switches.reset(), method="PUT", target="/manifests/1$", times=1)
    lab.declare("app", "referrers: false")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert len(lab.destination.recorded(f"^PUT .*digest={digest.replace(':', '%3A')}")) == 1
    assert [one.status for one in lab.destination.recorded(f"^HEAD .*/blobs/{digest}")] == [200]
    lab.assert_served("app", "1", content)
