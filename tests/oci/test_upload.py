"""Uploads: sessions, locations, chunks."""

from __future__ import annotations

import time

import pytest

from tests import switches
from tests.support.images import first_layer, image, push
from tests.support.logins import BASIC
from tests.support.outcomes import error_of, errors_by_repository
from tests.support.run_imgsync import finish
from tests.support.uploads import sent, sessions
from tests.support.witness import assert_served
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
def test_upload_goes_to_no_other_host(where, login, registry, second_registry, name, declare_login, imgsync, foreign, destination):
    """A session, or the rest of one, on another host gets not a byte of the blob, nor of who we are; nothing is tagged."""
    push(registry, f"{name}/app", "1", image(1, layers=0, shared=bytes(100_000)))
    destination.add(switches.headers(Location=f"http://{login}{foreign.host}/v2/upload"), method=where, target="/uploads/")
    destination.add(switches.require_authorization(BASIC, 'Basic realm="x"'))
    declare_login(at="destination", **({"chunk_size": "64KiB"} if where == "PATCH" else {}))

    message = error_of(imgsync("apply", "-o", "json"))

    assert foreign.seen == []
    assert ("Location contains credentials" if login else "another host, 127.0.0.2") in message
    assert second_registry.tags(f"m/{name}/app") == []


@pytest.mark.row("AUTH-08")
def test_upload_location_that_is_no_url_is_an_error(registry, second_registry, name, declare, imgsync, destination):
    """Whatever stands there: one error of that image alone, or a request to the registry itself, and never a crash."""
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
        push(registry, f"{name}/app{number}", "1", image((name, number), layers=1))
        head = f"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\nLocation: {said}\r\n\r\n"
        destination.add(switches.Raw(head.encode()), method="POST", target=f"app{number}/")
    push(registry, f"{name}/good", "1", image((name, "good"), layers=1))
    declare(str([*(f"{name}/app{number}" for number in range(len(odd))), f"{name}/good"]), retry="{attempts: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert [one["source"].partition(f"{name}/")[2] for one in ran.json["outcomes"] if not one["error"]] == ["good:1"]
    assert len(ran.json["outcomes"]) == len(odd) + 1
    assert second_registry.tags(f"m/{name}/app0") == []


@pytest.mark.row("AUTH-09")
@pytest.mark.parametrize(
    "said", ["http://127.0.0.1{port}{rest}", "http://127.0.0.1{rest}", "//127.0.0.1:80{rest}"], ids=["http", "without the port", "another port"]
)
def test_registry_behind_tls_that_names_itself_by_http(said, registry, second_registry, name, declare_login, imgsync, secure, destination):
    """The host is the registry's: path and query are taken, our own scheme and port kept, and nothing goes over http."""
    content = push(registry, f"{name}/app", "1", image(1))
    with secure(second_registry) as proxy:
        proxy.add(switches.location(lambda url: said.format(port=f":{destination.port}", rest="/" + url.split("/", 3)[3])), method="POST")
        proxy.add(switches.require_authorization(BASIC, 'Basic realm="x"'))
        declare_login(to=proxy, at="destination")

        ran = imgsync("apply", "-o", "json")

        assert ran.code == 0, ran.stderr
        assert_served(second_registry, f"m/{name}/app", "1", content)
        assert len(proxy.requests("PUT .*/uploads/")) == len(content.blobs)
    assert destination.seen == []


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
def test_lost_session_is_begun_anew(switch, method, registry, second_registry, name, declare, write, imgsync, source, destination):
    """The registry forgets a session, or some of what it was sent: another one takes the blob, and none is left open."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=300_000))
    destination.add(switch, method=method, target="/uploads/", nth=2)
    declare(f"[{name}/app]", "referrers: false\nconcurrency: {blobs: 1}")
    write("registries.yaml", f"version: 1\nregistries:\n  {source}: {{tls: false}}\n  {destination}: {{tls: false, chunk_size: 128KiB}}\n")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert_served(second_registry, f"m/{name}/app", "1", content)
    assert sessions(second_registry, f"m/{name}/app") == []


@pytest.mark.row("REG-01")
def test_session_that_is_lost_each_time_is_one_clear_error(registry, second_registry, name, declare, imgsync, destination):
    """As often as declared, and no more."""
    push(registry, f"{name}/app", "1", image(1, layers=1))
    destination.add(Respond(404, {"errors": [{"code": "BLOB_UPLOAD_UNKNOWN", "message": "gone"}]}), method="PUT", target="/uploads/")
    declare(f"[{name}/app]", "referrers: false\nconcurrency: {blobs: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert "404 BLOB_UPLOAD_UNKNOWN: gone" in ran.json["outcomes"][0]["error"]
    assert len(destination.requests("PUT .*/uploads/")) == 2
    assert second_registry.tags(f"m/{name}/app") == []


@pytest.mark.row("REG-02", "REG-28")
def test_upload_that_breaks_is_sent_once_more(registry, second_registry, name, declare, imgsync, destination):
    """At its first byte, in its middle, at its last, by a reset or an error: done, no more than twice the bytes sent, one session left at most."""
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
        contents[path] = push(registry, f"{name}/{path}", "1", image(path, layers=1, layer_bytes=size))
        destination.add(switch, method="PUT", target=f"{name}/{path}/.*{first_layer(contents[path]).replace(':', '%3A')}", times=1)
    declare(f"[{', '.join(f'{name}/{path}' for path in breaks)}]", "referrers: false\nconcurrency: {blobs: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    for path, content in contents.items():
        assert_served(second_registry, f"m/{name}/{path}", "1", content)
        digest = first_layer(content)
        assert sent(destination, digest) <= 2 * len(content.blobs[digest]), path
        # A session that broke between two states can be left to the registry, which forgets it in time.
        assert len(sessions(second_registry, f"m/{name}/{path}")) <= 1, path


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
def test_location_comes_back_byte_for_byte(registry, second_registry, name, declare, imgsync, destination):
    """Twelve forms that a Location may have: path and query are sent as they were given, the digest behind them."""
    content = push(registry, f"{name}/app", "1", image((name, "locations"), layers=len(LOCATIONS) - 1))
    odd = destination.add(OddLocations(destination.host, LOCATIONS))
    declare(f"[{name}/app]", "referrers: false\nconcurrency: {blobs: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert len(odd.got) == len(LOCATIONS)
    assert odd.got == odd.wanted
    assert ran.events("request.retried") == []
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("REG-06")
def test_location_that_is_none_is_an_error_and_of_two_the_first_counts(registry, second_registry, name, declare, imgsync, destination, foreign):
    """Missing or empty: the image fails. Given twice: the first is held to the rules, the second is never followed."""
    faults = {
        "missing": switches.headers(Location=None),
        "empty": switches.headers(Location=""),
        "first": second_location(f"{foreign.url}/u", first=True),
        "second": second_location(f"{foreign.url}/u"),
    }
    contents = {}
    for path, switch in faults.items():
        contents[path] = push(registry, f"{name}/{path}", "1", image(path, layers=1))
        destination.add(switch, method="POST", target=f"{name}/{path}/")
    declare(f"[{', '.join(f'{name}/{path}' for path in faults)}]", "referrers: false\nconcurrency: {blobs: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    errors = errors_by_repository(ran)
    assert set(errors) == {"missing", "empty", "first"}
    assert all("without a valid Location" in errors[path] for path in ("missing", "empty"))
    assert "the upload's Location is on another host, 127.0.0.2" in errors["first"]
    assert foreign.seen == []
    assert_served(second_registry, f"m/{name}/second", "1", contents["second"])


@pytest.mark.row("REG-07")
def test_absurd_least_chunk_is_one_clear_error(registry, second_registry, name, declare, imgsync, destination):
    """Chunks of a terabyte at least where no more than a MiB is let through: nothing can be sent, which is said after a few requests."""
    push(registry, f"{name}/app", "1", image(1, layers=0, shared=b"absurd" * MEBIBYTE))
    destination.add(switches.BodyLimit(MEBIBYTE), method="PUT|PATCH")
    destination.add(switches.chunk_min_length(10**12), method="POST")
    declare(f"[{name}/app]", "referrers: false\nconcurrency: {blobs: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert "(destination): 413" in ran.json["outcomes"][0]["error"]
    assert len(destination.requests("(PUT|PATCH) .*/uploads/")) <= 8
    assert second_registry.tags(f"m/{name}/app") == []


@pytest.mark.row("REG-08")
def test_registry_that_drops_later_chunks_is_found_out(registry, second_registry, name, declare, write, imgsync, source, destination):
    """Blobs go in one piece unless chunks are declared; a registry that drops them then is found out before the blob counts, and the setting is named."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=300_000))
    destination.add(switches.loses_chunks(), method="PATCH")
    declare(f"[{name}/app]", "referrers: false")
    trust = f"version: 1\nregistries:\n  {source}: {{tls: false}}\n  {destination}: {{tls: false"
    write("registries.yaml", f"{trust}, chunk_size: 128KiB}}\n")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert "the registry reports 1 bytes after 131072 were sent" in ran.json["outcomes"][0]["error"]
    assert "remove chunk_size from registries.yaml" in ran.json["outcomes"][0]["error"]
    assert second_registry.tags(f"m/{name}/app") == []
    write("registries.yaml", f"{trust}}}\n")
    destination.forget()
    assert imgsync("apply").code == 0
    assert destination.requests("PATCH") == []
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("NET-17")
def test_answer_that_comes_before_the_upload_is_read_counts(registry, second_registry, name, declare, imgsync, destination):
    """The registry says no and reads not a byte more, be it that it hangs up or that it does not: its words are the error, in no more than the time allowed."""
    early = {"hangs-up": EarlyAnswer(507, "no room left", reset=True), "stays": EarlyAnswer(507, "no room left", reset=False)}
    for path, switch in early.items():
        push(registry, f"{name}/{path}", "1", image(path, layers=0, shared=f"{path:16}".encode() * MEBIBYTE))
        destination.add(switch, method="PUT", target=f"{name}/{path}/blobs/uploads/")
    good = push(registry, f"{name}/good", "1", image("good"))
    declare(f"[{name}/hangs-up, {name}/stays, {name}/good]", "timeouts: {request: 2s}\nconcurrency: {blobs: 1}\nreferrers: false")

    began = time.monotonic()
    ran = imgsync("apply", "-o", "json")
    took = time.monotonic() - began
    early["stays"].release()

    assert ran.code == 1
    errors = errors_by_repository(ran)
    assert {path: "(destination): 507 DENIED: no room left" in error for path, error in errors.items()} == {"hangs-up": True, "stays": True}
    assert took < 30
    assert_served(second_registry, f"m/{name}/good", "1", good)


@pytest.mark.row("NET-18")
def test_upload_waits_for_the_source_s_first_byte(registry, second_registry, name, declare, start_imgsync, source, destination):
    """While a source is long in beginning, nothing is sent that a destination could grow tired of: one session, one upload."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=2 * MEBIBYTE))
    held = source.add(Hold(after_bytes=0), method="GET", target=first_layer(content))
    declare(f"[{name}/app]", "referrers: false\nconcurrency: {blobs: 1}")

    running = start_imgsync("apply", "-o", "json")
    held.reached()
    released = time.monotonic_ns()
    held.release()
    ran = finish(running)

    assert ran.code == 0, ran.stderr
    digest = first_layer(content)
    puts = destination.recorded(f"^PUT .*digest={digest.replace(':', '%3A')}")
    assert len(destination.recorded(f"^POST .*{digest}")) == len(puts) == 1
    assert puts[0].began > released
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("NET-19")
def test_registry_may_take_its_time_to_put_a_blob_away(registry, second_registry, name, declare, imgsync, destination):
    """All of a blob is sent, and the answer takes longer than any silence elsewhere may last: it is waited for, and nothing sent twice."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1))
    destination.add(slow_to_commit(2.5), method="PUT", target="/uploads/", times=1)
    declare(f"[{name}/app]", "timeouts: {request: 1s}\nreferrers: false")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert len(destination.requests("PUT .*/uploads/")) == 2
    assert ran.events("request.retried") == []
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("NET-20")
def test_upload_whose_answer_was_lost_is_not_sent_again(registry, second_registry, name, declare, imgsync, destination):
    """The registry has the blob and we were not told: the next try asks for it first, and finds it."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=MEBIBYTE))
    digest = first_layer(content)
    destination.add(switches.reset(), method="PUT", target=digest.replace(":", "%3A"), times=1)
    destination.add(switches.reset(), method="PUT", target="/manifests/1$", times=1)
    declare(f"[{name}/app]", "referrers: false")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert len(destination.recorded(f"^PUT .*digest={digest.replace(':', '%3A')}")) == 1
    assert [one.status for one in destination.recorded(f"^POST .*{digest}")] == [202, 201]
    assert_served(second_registry, f"m/{name}/app", "1", content)
