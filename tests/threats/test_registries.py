"""What registries do with uploads, tags and listings (rows REG): each oddity costs a request or an error of its image, never wrong or half content."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product

import pytest

from imgsync.oci.errors import Operation, error_of
from tests import switches
from tests.images.test_referrers import SBOM, fallback_of, push_fallback
from tests.plan.test_verify import Behind
from tests.support.effort import effort
from tests.support.faults import FaultProxy
from tests.support.images import artifact, digest_of, image, index, layer, pull_raw, push
from tests.support.witness import assert_served
from tests.switches import Respond
from tests.switches.net import (
    Lagging,
    OddLocations,
    StoresNothing,
    before_it_goes_on,
    endless_error,
    second_location,
    warns,
)
from tests.threats.test_transport import errors_of, first_layer

MEBIBYTE = 1 << 20


def sent(proxy: FaultProxy, digest: str) -> int:
    """Return how many bytes of a blob went out, with all tries."""
    return sum(one.bytes_up for one in proxy.recorded(f"^PUT .*digest={digest.replace(':', '%3A')}"))


def sessions(registry, repository: str) -> list[str]:
    """Return the upload sessions whose bytes a registry still keeps."""
    return [path.parent.name for path in (registry.storage / "repositories" / repository / "_uploads").glob("*/data")]


# --- uploads


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
    errors = errors_of(ran)
    assert set(errors) == {"missing", "empty", "first"}
    assert all("without saying where" in errors[path] for path in ("missing", "empty"))
    assert "the registry wants the blob sent to another host, 127.0.0.2" in errors["first"]
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
    assert "it says to have 1 bytes after 131072 were sent" in ran.json["outcomes"][0]["error"]
    assert "take chunk_size out of registries.yaml" in ran.json["outcomes"][0]["error"]
    assert second_registry.tags(f"m/{name}/app") == []
    write("registries.yaml", f"{trust}}}\n")
    destination.forget()
    assert imgsync("apply").code == 0
    assert destination.requests("PATCH") == []
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("REG-10", "REG-11")
def test_mount_that_fails_becomes_one_upload(registry, second_registry, name, declare, imgsync, destination):
    """Whatever a registry answers to a mount, the blob is uploaded, once; no session is left open."""
    refusals = {"not-known": 404, "not-there": 405, "denied": 403, "unauthorized": 401, "broken": 500}
    contents = {}
    for path, code in refusals.items():
        contents[path] = push(registry, f"{name}/{path}", "1", image(path))
        destination.add(switches.status(code), method="POST", target=f"{name}/{path}/.*mount=")
    contents["session"] = push(registry, f"{name}/session", "1", image("session"))
    destination.add(switches.refuse_mount(), method="POST", target=f"{name}/session/")
    declare(f"[{', '.join(f'{name}/{path}' for path in contents)}]", "referrers: false")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    for path, content in contents.items():
        assert_served(second_registry, f"m/{name}/{path}", "1", content)
        assert len(destination.requests(f"PUT .*{name}/{path}/blobs/uploads/")) == len(content.all_blobs), path
        assert sessions(second_registry, f"m/{name}/{path}") == [], path


@pytest.mark.row("REG-11")
def test_mount_asks_for_leave_to_pull_there_and_does_without(registry, second_registry, name, declare, imgsync, destination):
    """The token for a mount covers the repository that is mounted from; where that is refused the blob is sent."""
    base = layer(("leave", name), 20_000)
    contents = {path: push(registry, f"{name}/{path}", "1", image((name, path), layers=1, shared=base)) for path in ("one", "two")}
    challenge = f'Bearer realm="{destination.url}/token",service="x"'
    destination.add(Respond(401, headers={"WWW-Authenticate": challenge}), method="POST", target=f"mount={digest_of(base)}&from=m/{name}/", nth=(2, 3))
    destination.add(Respond(200, {"token": "net-SECRET", "expires_in": 300}), target="^/token")
    destination.add(switches.require_authorization("Bearer net-SECRET", challenge), target="^/v2/")
    declare(f"[{name}/one, {name}/two]", "referrers: false\nconcurrency: {images: 1, blobs: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    scopes = [dict(re.findall(r"repository%3Am%2F\w+%2F(\w+)%3A([a-z%2C]+)", one.target)) for one in destination.recorded("^GET /token")]
    assert [sorted(one.values()) for one in scopes if len(one) == 2] == [["pull", "pull%2Cpush"]] * 2
    assert sent(destination, digest_of(base)) == 2 * len(base)
    for path, content in contents.items():
        assert_served(second_registry, f"m/{name}/{path}", "1", content)


@pytest.mark.row("REG-13")
def test_redirected_write_is_never_followed(registry, second_registry, name, declare, imgsync, destination, foreign):
    """Five ways to send a write elsewhere, on each route: an error of its image, nothing is sent there, and nothing looks like success."""
    routes = {"begin": ("POST", "/blobs/uploads/"), "upload": ("PUT", "/blobs/uploads/"), "put": ("PUT", "/manifests/")}
    cases = [("put", code) for code in (301, 302, 303, 307, 308)] + list(product(("begin", "upload"), (302, 307)))
    for route, code in cases:
        push(registry, f"{name}/{route}{code}", "1", image((route, code), layers=1))
        method, target = routes[route]
        destination.add(switches.redirect(foreign.host, code=code), method=method, target=f"{name}/{route}{code}{target}")
    declare(f"[{', '.join(f'{name}/{route}{code}' for route, code in cases)}]", "referrers: false\nconcurrency: {blobs: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    errors = errors_of(ran)
    assert set(errors) == {f"{route}{code}" for route, code in cases}
    assert all("the registry redirects a write, which is not followed" in error for error in errors.values())
    assert foreign.seen == []
    for route, code in cases:
        assert second_registry.tags(f"m/{name}/{route}{code}") == []


@pytest.mark.nightly
@pytest.mark.row("REG-25")
def test_blob_of_many_tags_is_uploaded_once(registry, name, declare, imgsync, source, destination):
    """However many need it at once."""
    base = layer(("fifty", name), 50_000)
    for number in range(effort(16, 50)):
        push(registry, f"{name}/app", str(number), image((name, number), layers=0, shared=base))
    declare(f"[{name}/app]", "concurrency: {images: 16}\nreferrers: false")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert sent(destination, digest_of(base)) == len(base)
    assert len([one for one in source.seen if one.path.endswith(digest_of(base))]) == 1


@pytest.mark.row("REG-17")
def test_spent_quota_stops_its_project_alone(registry, second_registry, name, write, imgsync, source, destination):
    """Once a project's quota is used up no more bytes are sent to it than were under way; other projects get theirs."""
    for number in range(8):
        push(registry, f"{name}/app", str(number), image((name, number), layers=1))
    other = push(registry, f"{name}/other", "1", image("other"))
    destination.add(switches.quota_spent(), method="PUT", target=f"/full{name}/.*/uploads/")
    tail = "referrers: false, concurrency: {images: 2, blobs: 1}}\n"
    write(
        "mirrors.d/a.yaml",
        f"version: 1\nmirrors:\n  - {{name: a, source: {source}/{name}/app, destinations: ['{destination}/full{name}'], {tail}"
        f"  - {{name: b, source: {source}/{name}/other, destinations: ['{destination}/m'], {tail}",
    )
    write("registries.yaml", f"version: 1\nregistries:\n  {source}: {{tls: false}}\n  {destination}: {{tls: false}}\n")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"failed": 8, "copied": 1}
    assert all("the destination's quota is used up" in outcome["error"] for outcome in ran.json["outcomes"] if outcome["mirror"] == "a")
    assert len(destination.requests(f"PUT .*/full{name}/.*/uploads/")) <= 3
    assert_served(second_registry, f"m/{name}/other", "1", other)


@pytest.mark.row("REG-29")
@pytest.mark.parametrize("code", [500, 507])
def test_full_destination_fails_alone(code, registry, second_registry, name, write, imgsync, source, destination):
    """One destination has no space left: its words are the error, after as many tries as declared; the other has the image."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1))
    with FaultProxy(registry) as full:
        full.add(Respond(code, {"errors": [{"code": "UNKNOWN", "message": "write /data: no space left on device"}]}), method="PUT", target="/uploads/")
        write(
            "mirrors.d/a.yaml",
            f"version: 1\nmirrors:\n  - {{name: a, source: {source}/{name}/app, destinations: ['{full}/f', '{destination}/m'], referrers: false, "
            "concurrency: {blobs: 1}, retry: {attempts: 2, interval: 0s}}\n",
        )
        write("registries.yaml", "version: 1\nregistries:\n" + "".join(f"  {one}: {{tls: false}}\n" for one in (source, destination, full)))

        ran = imgsync("apply", "-o", "json")

        assert ran.code == 1
        assert {outcome["destination"].partition("/")[0]: bool(outcome["error"]) for outcome in ran.json["outcomes"]} == {
            full.host: True,
            destination.host: False,
        }
        assert [error for outcome in ran.json["outcomes"] if (error := outcome["error"]) and "no space left on device" in error]
        assert len(full.requests("PUT .*/uploads/")) <= 2
    assert_served(second_registry, f"m/{name}/app", "1", content)


# --- manifests and tags


@pytest.mark.row("REG-12")
def test_head_that_says_404_of_what_is_there_is_not_believed_of_a_source(registry, name, declare, imgsync, source):
    """A GET answers for it, one request more for each tag; nothing looks as if it were gone."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]", "referrers: false")
    assert imgsync("apply").code == 0
    source.forget()
    source.add(switches.status(404), method="HEAD", target="/manifests/")

    ran = imgsync("plan", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert ran.json["summary"]["keep"] == 1
    assert [one.partition(" ")[0] for one in source.requests("/manifests/")] == ["HEAD", "GET"]


@pytest.mark.row("REG-12")
@pytest.mark.parametrize("length", ["7", None], ids=["another", "none"])
def test_blob_of_another_length_is_not_there(length, registry, name, declare, imgsync, destination):
    """A HEAD whose length is not the blob's says that something else is there; one without a length is believed."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    destination.add(switches.headers(Content_Length=length), method="HEAD", target=f"/blobs/{first_layer(content)}")

    ran = imgsync("verify", "-o", "json")

    assert ran.code == (1 if length else 0), ran.stdout
    assert ran.json["findings"][0]["condition"] == ("incomplete" if length else "ok")


@pytest.mark.row("REG-14")
def test_registry_that_stores_nothing_is_found_out(registry, name, declare, imgsync, destination):
    """It says 201 and keeps no manifest: `verify` asks, says what is missing, exit 1; `apply --refresh` sends it again once it is honest."""
    push(registry, f"{name}/app", "1", image(1))
    destination.add(StoresNothing(), target="/manifests/")
    declare(f"[{name}/app]")
    imgsync("apply")

    ran = imgsync("verify", "-o", "json")

    assert ran.code == 1
    assert [finding["condition"] for finding in ran.json["findings"]] == ["missing"]
    destination.clear()
    assert imgsync("apply", "--refresh").code == 0
    assert imgsync("verify").code == 0


@pytest.mark.row("REG-15")
def test_registry_that_shows_late_what_it_has_costs_no_image(registry, second_registry, name, declare, imgsync, destination):
    """Nothing is asked for that was just written, but where it must be, it is waited for: the list of referrers is written once."""
    root = push(registry, f"{name}/app", "1", image(1))
    sbom = push(registry, f"{name}/app", "", artifact("late", artifact_type=SBOM, subject=root))
    push_fallback(registry, f"{name}/app", root, sbom)
    destination.add(Lagging(1.5), target="/manifests/")
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert len(destination.requests(f"PUT .*/manifests/{root.digest.replace(':', '-')}$")) == 1
    assert [entry["digest"] for entry in fallback_of(second_registry, f"m/{name}/app", root)] == [sbom.digest]
    assert imgsync("plan", "-o", "json").json["summary"]["keep"] == 1


@pytest.mark.row("REG-16")
def test_blob_that_is_collected_before_the_manifest_is_sent_again(registry, second_registry, name, declare, imgsync, destination):
    """The registry's own collector takes a blob right before the manifest comes: it refuses, gets that blob, and takes the manifest."""
    content = push(registry, f"{name}/app", "1", image(1, layers=2))
    gone = first_layer(content)
    collector = Behind(second_registry, f"m/{name}/app")
    destination.add(before_it_goes_on(lambda: collector.forget_blob(gone)), method="PUT", target="/manifests/1$", nth=1)
    declare(f"[{name}/app]", "referrers: false")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [one.status for one in destination.recorded("PUT .*/manifests/1$")] == [400, 201]
    puts = Counter(one.target.rpartition("digest=")[2].replace("%3A", ":") for one in destination.recorded("PUT .*/uploads/"))
    assert puts == dict.fromkeys(content.all_blobs, 1) | {gone: 2}
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("REG-18")
def test_immutable_tag_that_is_right_already_is_fine(registry, second_registry, name, declare, imgsync, destination):
    """Registries refuse the push of an immutable tag though it is the same: one that is there is not pushed, one whose answer was lost counts as done."""
    there = push(registry, f"{name}/app", "there", image("there"))
    lost = push(registry, f"{name}/app", "lost", image("lost"))
    push(second_registry, f"m/{name}/app", "there", there)
    destination.add(switches.reset(), method="PUT", target="/manifests/lost$", nth=1)
    destination.add(switches.immutable_tag(), method="PUT", target="/manifests/lost$", nth=2)
    destination.add(switches.immutable_tag(), method="PUT", target="/manifests/there$")
    declare(f"[{name}/app]", "referrers: false")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert (ran.json["summary"]["copied"], ran.json["summary"]["kept"]) == (1, 1)
    assert destination.requests("PUT .*/manifests/there$") == []
    assert_served(second_registry, f"m/{name}/app", "lost", lost)


@pytest.mark.row("REG-19")
def test_policy_s_words_are_told_and_obeyed(registry, second_registry, name, declare, imgsync, destination):
    """A vulnerable image blocked, a registry that is read-only: the registry's own words, safe to print, one try, and the others go on."""
    words = {
        "blocked": Respond(412, {"errors": [{"code": "PROJECTPOLICYVIOLATION", "message": "current image with \x1b[31m3 vulnerabilities cannot be pulled"}]}),
        "frozen": Respond(403, {"errors": [{"code": "DENIED", "message": "The system is in read only mode.\r\nAny modification is prohibited."}]}),
    }
    for path, switch in words.items():
        push(registry, f"{name}/{path}", "1", image(path))
        destination.add(switch, method="PUT", target=f"{name}/{path}/manifests/1$")
    good = push(registry, f"{name}/good", "1", image("good"))
    declare(f"[{name}/blocked, {name}/frozen, {name}/good]", "referrers: false")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    errors = errors_of(ran)
    assert "412 PROJECTPOLICYVIOLATION: current image with \\x1b[31m3 vulnerabilities cannot be pulled" in errors["blocked"]
    assert "403 DENIED: The system is in read only mode. Any modification is prohibited." in errors["frozen"]
    assert [len(destination.requests(f"PUT .*{name}/{path}/manifests/")) for path in words] == [1, 1]
    assert "\x1b" not in ran.stdout + ran.stderr
    assert_served(second_registry, f"m/{name}/good", "1", good)


BODIES = [
    b"",
    b"<html>\x1b[31m<h1>413</h1>",
    b"{",
    b"null",
    b"[]",
    b"7",
    b'{"errors": null}',
    b'{"errors": []}',
    b'{"errors": [null]}',
    b'{"errors": {"code": "X"}}',
    b'{"errors": [{"code": null, "message": 7, "detail": [[[{}]]]}]}',
    b'{"errors": [{"code": {"a": 1}, "message": {"b": "\\ud800"}}]}',
    b'{"errors": [{"code": "manifest_blob_unknown", "message": "\\u202e\\u0000x"}]}',
    b"[" * 100_000,
    b"\xff\xfe\x00" * 1000,
]


@pytest.mark.row("REG-20")
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_no_error_body_is_too_odd(body):
    """Whatever stands in it, with whatever status: one error, short, on one line, printable; its code in capitals."""
    for status in (100, 204, 302, 400, 401, 403, 404, 405, 409, 412, 413, 416, 418, 429, 451, 500, 503, 507, 599, 999):
        error = error_of(Operation("push", "r/x:1", "destination"), status, headers={"retry-after": "\xff"}, body=body)
        assert str(error).isprintable()
        assert len(str(error)) < 4500
        assert str(status) in str(error)
        assert error.code == error.code.upper()


@pytest.mark.row("REG-20")
def test_error_that_never_ends_is_read_no_further(registry, name, declare, imgsync, source):
    """An error's words are read for 64 KiB; the rest is left to the registry."""
    push(registry, f"{name}/app", "1", image(1))
    source.add(endless_error(404), target="/tags/list")
    declare(f"[{name}/app]")

    ran = imgsync("plan", "-o", "json")

    assert ran.code == 1
    assert "404 xxx" in ran.json["errors"][0]["message"]
    assert len(ran.json["errors"][0]["message"]) < 1000
    assert sum(one.bytes_down for one in source.seen) < 16 * MEBIBYTE


# --- listings


@pytest.mark.row("REG-21")
def test_repository_of_a_catalog_that_is_empty_is_empty(registry, name, declare, imgsync, source):
    """A repository that was listed and knows no tags, be it by null, an empty list or 404, is no error; one that was named is (by 404)."""
    push(registry, f"{name}/app", "1", image(1))
    for path in ("null", "none", "unknown"):
        push(registry, f"{name}/{path}", "1", image(path))
    source.add(Respond(200, {"name": "x", "tags": None}), target=f"{name}/null/tags/list")
    source.add(Respond(200, {"name": "x", "tags": []}), target=f"{name}/none/tags/list")
    source.add(Respond(404, {"errors": [{"code": "NAME_UNKNOWN", "message": "repository name not known to registry"}]}), target=f"{name}/unknown/tags/list")
    declare("[]", namespaces=f"[{name}]")

    ran = imgsync("plan", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert ran.json["summary"]["create"] == 1
    # It may be hidden from us too: nothing is deleted for it.
    assert [f"{name}/unknown is listed, but its tags are not known" in line["reason"] for line in ran.events("listing.incomplete")] == [True]
    declare(f"[{name}/unknown]")
    named = imgsync("plan", "-o", "json")
    assert named.code == 1
    assert "the repository does not exist there, or this account may not see it" in named.json["errors"][0]["message"]


@pytest.mark.row("REG-24")
def test_order_and_repetition_of_a_listing_mean_nothing(registry, name, declare, imgsync, source):
    """Tags come as they like, twice or in both cases: each that there is, once, and the same plan each time."""
    for tag in ("v1", "V1", "a", "b"):
        push(registry, f"{name}/app", tag, image(tag))
    plans = []
    for tags in (["b", "v1", "V1", "a", "b", "a"], ["V1", "a", "a", "b", "v1"]):
        source.clear()
        source.add(Respond(200, {"name": "app", "tags": tags}), target="/tags/list")
        declare(f"[{name}/app]")
        plans.append(imgsync("plan", "-o", "json").json)

    assert sorted(change["source"].rpartition(":")[2] for change in plans[0]["changes"]) == ["V1", "a", "b", "v1"]
    assert plans[0]["id"] == plans[1]["id"]
    assert plans[0]["changes"] == plans[1]["changes"]


@pytest.mark.row("REG-26")
def test_cache_that_does_not_have_it_yet_is_asked_again(registry, second_registry, name, declare, imgsync, source):
    """A caching source that answers 404 the first time has the image the second; where it stays at that, it is one clear error after a few questions."""
    content = push(registry, f"{name}/app", "1", index(1))
    push(registry, f"{name}/never", "1", image("never", layers=1))
    refusal = Respond(404, {"errors": [{"code": "BLOB_UNKNOWN", "message": "not cached"}]})
    source.add(refusal, method="GET", target=f"{name}/app/blobs/", times=1)
    source.add(refusal, method="GET", target=f"{name}/never/blobs/")
    declare(f"[{name}/app, {name}/never]", "referrers: false\nconcurrency: {blobs: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert "(source): 404 BLOB_UNKNOWN: not cached" in errors_of(ran)["never"]
    assert len(source.requests(f"{name}/never/blobs/")) <= 12
    assert pull_raw(second_registry, f"m/{name}/never", "1") is None
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("REG-27")
def test_registry_s_warning_is_told_once(registry, name, declare, imgsync, destination):
    """However often it is said; on one line, and nothing in it is obeyed."""
    push(registry, f"{name}/app", "1", image(1))
    destination.add(warns('299 - "this registry is \xa0\x85going away"'))
    destination.add(warns('110 cache "stale"'))
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [(line["registry"], line["reason"]) for line in ran.events("registry.warned")] == [(destination.host, "this registry is going away")]
