"""Rate limits and transport faults (rows NET): everything that can break between imgsync and a registry, and that no image is lost or half there for it."""

from __future__ import annotations

import datetime as dt
import json
import ssl
import threading
import time

import pytest
import trustme

from imgsync.oci.auth.authenticator import Authenticator, TokenAnswer
from imgsync.oci.endpoint import Endpoint
from imgsync.oci.errors import Operation, error_of
from imgsync.oci.limits.retry import RetryPolicy
from tests import switches
from tests.support.faults import FaultProxy
from tests.support.images import digest_of, image, layer, pull_raw, push, request
from tests.support.run_imgsync import finish
from tests.support.witness import assert_served
from tests.switches import Hold, Raw, Respond
from tests.switches.net import EarlyAnswer, PresignedUrls, close_after_each, glued, no_such_range, slow_to_commit

KIBIBYTE = 1 << 10
MEBIBYTE = 1 << 20
SECOND = 1_000_000_000


def first_layer(content) -> str:
    return json.loads(content.raw)["layers"][0]["digest"]


def errors_of(ran) -> dict[str, str]:
    """Return what a report says went wrong, by the repository's last word: of images, and of what could not be planned."""
    found = {outcome["source"].rpartition(":")[0].rpartition("/")[2]: outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"]}
    return found | {error["reference"].rpartition("/")[2].partition(":")[0]: error["message"] for error in ran.json["errors"]}


# --- asked too much


@pytest.mark.row("NET-01")
def test_429_holds_every_lane(registry, name, declare, imgsync, source):
    """One request is told to come again in two seconds: nobody else asks either until then, and everything arrives."""
    for number in range(8):
        push(registry, f"{name}/app", str(number), image((name, number)))
    source.add(switches.status(429, retry_after="2"), target="/manifests/", nth=2)
    declare(f"[{name}/app]", "concurrency: {images: 2, blobs: 2, queries: 2}\nreferrers: false")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["copied"] == 8
    assert [line["wait_seconds"] for line in ran.events("registry.throttled")] == [2]
    told = next(one.ended for one in source.seen if one.status == 429)
    # What was on its way when the answer came is no more than the lanes that there are: two for questions, four for blobs.
    assert len([one for one in source.seen if told < one.began < told + 1.9 * SECOND]) <= 6
    assert len([one for one in source.seen if one.began >= told + 1.9 * SECOND]) > 12


@pytest.mark.row("NET-03", "NET-06")
def test_throttled_source_fails_alone(registry, second_registry, name, write, imgsync, source, destination):
    """A source that says 429 and no more is asked as often as declared; its images are listed as failed, those of others are there."""
    push(registry, f"{name}/throttled", "1", image(1))
    good = push(registry, f"{name}/good", "1", image(2))
    source.add(switches.status(429, retry_after="soon"))
    write(
        "mirrors.d/a.yaml",
        f"version: 1\nmirrors:\n"
        f"  - {{name: a, source: {source}/{name}/throttled, destinations: ['{destination}/m'], retry: {{attempts: 2, interval: 0s}}}}\n"
        f"  - {{name: b, source: {registry}/{name}/good, destinations: ['{destination}/m']}}\n",
    )
    write("registries.yaml", "version: 1\nregistries:\n" + "".join(f"  {one}: {{tls: false}}\n" for one in (source, destination, registry)))

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert [error["mirror"] for error in ran.json["errors"]] == ["a"]
    assert "(source): 429" in ran.json["errors"][0]["message"]
    assert "lower `rate` or `concurrency` for this registry" in ran.json["errors"][0]["message"]
    assert len(source.seen) == 2
    assert_served(second_registry, f"m/{name}/good", "1", good)


@pytest.mark.row("NET-05")
def test_fifty_callers_ask_for_a_token_one_at_a_time():
    """One asks, is told to come again, asks again; the others wait for what it gets."""
    operation = Operation("pull", "registry.example/app", "source")
    entered = threading.Semaphore(0)
    running, most, asked = 0, 0, 0
    everybody_is_here = threading.Event()

    def ask(*_: object) -> TokenAnswer:
        nonlocal running, most, asked
        running, asked = running + 1, asked + 1
        most = max(most, running)
        everybody_is_here.wait(10)
        running -= 1
        if asked == 1:
            raise error_of(operation, 429, headers={"retry-after": "0"}, body=b"")
        return TokenAnswer(200, b'{"token": "net-SECRET", "expires_in": 300}')

    endpoint = Endpoint("registry.example", "source", ssl.create_default_context, Nobody())
    authenticator = Authenticator(endpoint, ask)
    authenticator.challenged(['Bearer realm="https://registry.example/token"'], ["repository:app:pull"], sent=None, operation=operation)
    got: list[str | None] = []

    def call() -> None:
        entered.release()
        got.append(authenticator.header(["repository:app:pull"], operation=operation, retry_policy=RetryPolicy(interval_seconds=0)))

    callers = [threading.Thread(target=call) for _ in range(50)]
    for caller in callers:
        caller.start()
    for _ in callers:
        assert entered.acquire(timeout=10)
    everybody_is_here.set()
    for caller in callers:
        caller.join(10)

    assert got == ["Bearer net-SECRET"] * 50
    assert (most, asked) == (1, 2)


class Nobody:
    """No login for anything."""

    def find(self, path: str, *, renew: bool = False) -> None:
        return None


@pytest.mark.row("NET-05")
def test_throttled_token_server_is_asked_again(registry, name, declare, imgsync, source):
    """A token server that says 429 costs a request more, whoever waits for the token."""
    for number in range(4):
        push(registry, f"{name}/app", str(number), image((name, number)))
    source.add(switches.status(429, retry_after="0"), target="^/token", times=1)
    source.add(Respond(200, {"token": "net-SECRET", "expires_in": 300}), target="^/token")
    challenge = f'Bearer realm="{source.url}/token",service="x"'
    source.add(switches.require_authorization("Bearer net-SECRET", challenge), target="^/v2/.*/(manifests|blobs)/")
    declare(f"[{name}/app]", "referrers: false")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    asked = source.recorded("^GET /token")
    assert [one.status for one in asked] == [429, 200]
    assert asked[0].ended <= asked[1].began


@pytest.mark.row("NET-07")
def test_every_status_that_may_pass_is_tried_again(registry, second_registry, name, declare, imgsync, source, destination):
    """Seven errors in a row, a different one each time, to one question and to one push: with enough attempts the image arrives."""
    content = push(registry, f"{name}/app", "1", image(1))
    for number, code in enumerate((500, 502, 503, 504, 408, 499, 522, 520), 1):
        source.add(switches.status(code), target="/tags/list", nth=number)
        destination.add(switches.status(code), method="PUT", target="/manifests/1$", nth=number)
    declare(f"[{name}/app]", retry="{attempts: 9, interval: 0s}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert (len(source.requests("tags/list")), len(destination.requests("PUT .*/manifests/1$"))) == (9, 9)
    assert_served(second_registry, f"m/{name}/app", "1", content)


# --- downloads


@pytest.mark.row("NET-08")
def test_download_cut_over_and_over_is_read_once(registry, second_registry, name, declare, imgsync, source):
    """Cut every 64 KiB it goes on at the byte reached, however often; no more is sent than there is, but for what a cut loses."""
    big = layer(("cut", name), 700 * KIBIBYTE)
    content = push(registry, f"{name}/app", "1", image(1, layers=0, shared=big))
    source.add(switches.drop_body_after(64 * KIBIBYTE), method="GET", target=digest_of(big))
    source.add(switches.reset(), method="GET", target=digest_of(big), nth=3)
    declare(f"[{name}/app]", "referrers: false", retry="{attempts: 3, interval: 0s}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    reads = [one for one in source.seen if one.path.endswith(digest_of(big))]
    assert len(reads) >= len(big) // (64 * KIBIBYTE)
    assert sum(one.bytes_down for one in reads) <= len(big) + 64 * KIBIBYTE
    assert ran.json["summary"]["bytes_copied"] == content.size_bytes
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("NET-09", "NET-10")
@pytest.mark.parametrize(
    "switch",
    [switches.no_ranges(), no_such_range(), switches.shifted_ranges(), switches.headers(Content_Range=None), switches.headers(Content_Range="bytes 0-0/9")],
    ids=["200", "416", "other bytes", "unsaid, or in parts", "said wrongly"],
)
def test_cut_download_goes_on_where_ranges_cannot_be_had(switch, registry, second_registry, name, declare, imgsync, source):
    """The registry ignores, refuses or mistakes the range: the blob is read from its beginning, and what is known already passed over."""
    big = layer(("ranges", name), 200 * KIBIBYTE)
    content = push(registry, f"{name}/app", "1", image(1, layers=0, shared=big))
    source.add(switch, method="GET", target=digest_of(big))
    source.add(switches.drop_body_after(80 * KIBIBYTE), method="GET", target=digest_of(big), times=1)
    declare(f"[{name}/app]", "referrers: false")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert_served(second_registry, f"m/{name}/app", "1", content)
    assert len([one for one in source.seen if one.path.endswith(digest_of(big))]) <= 3


@pytest.mark.row("NET-10")
def test_wrong_bytes_in_a_resumed_download_are_never_committed(registry, second_registry, name, declare, imgsync, source):
    """The range is the right one and its bytes are not: the image fails, and the destination has neither blob nor tag."""
    big = layer(("resumed", name), 200 * KIBIBYTE)
    push(registry, f"{name}/app", "1", image(1, layers=0, shared=big))
    source.add(switches.corrupt_byte(), method="GET", target=digest_of(big), nth=2)
    source.add(switches.drop_body_after(80 * KIBIBYTE), method="GET", target=digest_of(big), times=1)
    declare(f"[{name}/app]", "referrers: false")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert "the registry serves damaged or altered content; nothing was committed" in ran.json["outcomes"][0]["error"]
    assert request(second_registry, "HEAD", f"/v2/m/{name}/app/blobs/{digest_of(big)}")[0] == 404
    assert pull_raw(second_registry, f"m/{name}/app", "1") is None


@pytest.mark.row("NET-11")
@pytest.mark.parametrize("refusal", [403, 400, 401])
def test_expired_address_of_a_blob_is_asked_for_anew(refusal, registry, second_registry, name, declare, imgsync, source, foreign):
    """Object storage cuts, then refuses its own signed address: the registry is asked for another, and the download goes on where it was."""
    big = layer(("expired", name), 200 * KIBIBYTE)
    content = push(registry, f"{name}/app", "1", image(1, layers=0, shared=big))
    source.add(PresignedUrls(foreign.host), method="GET", target=digest_of(big))
    foreign.add(Respond(refusal, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"), nth=2)
    foreign.add(switches.drop_body_after(80 * KIBIBYTE), nth=1)
    declare(f"[{name}/app]", "referrers: false", retry="{attempts: 3, interval: 0s}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [one.target.rpartition("=")[2] for one in foreign.seen] == ["1", "2", "3"]
    assert [one.headers.get("range") for one in foreign.seen] == [None, f"bytes={80 * KIBIBYTE}-", f"bytes={80 * KIBIBYTE}-"]
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("NET-11")
def test_storage_that_goes_on_refusing_is_named(registry, name, declare, imgsync, source, foreign):
    """The error says which host refused, and that it was the registry that sent us there; our login is not blamed."""
    push(registry, f"{name}/app", "1", image(1, layers=1))
    source.add(PresignedUrls(foreign.host), method="GET", target="/blobs/")
    foreign.add(Respond(403, b"<Error/>"))
    declare(f"[{name}/app]", "referrers: false\nconcurrency: {blobs: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert "403 127.0.0.2, to which the registry sent us, refuses" in ran.json["outcomes"][0]["error"]
    assert "credentials" not in ran.json["outcomes"][0]["error"]
    assert len(foreign.seen) <= 4


# --- connections


@pytest.mark.row("NET-12")
def test_connections_that_close_after_each_answer_cost_nothing(registry, second_registry, name, declare, imgsync, source, destination):
    """Neither side says that it will close, and both do: no image is lost, and no request is counted as failed."""
    contents = [push(registry, f"{name}/app", str(number), image((name, number))) for number in range(3)]
    for proxy in (source, destination):
        proxy.add(close_after_each())
    declare(f"[{name}/app]")

    assert_copied_at_first(imgsync, second_registry, f"m/{name}/app", contents)


@pytest.mark.row("NET-13")
def test_bytes_after_an_answer_belong_to_nobody(registry, second_registry, name, declare, imgsync, source):
    """What follows an answer is not taken for the next one."""
    contents = [push(registry, f"{name}/app", str(number), image((name, number))) for number in range(3)]
    source.add(glued(), method="GET")
    declare(f"[{name}/app]", "concurrency: {images: 1, blobs: 1, queries: 1}")

    assert_copied_at_first(imgsync, second_registry, f"m/{name}/app", contents)


def assert_copied_at_first(imgsync, second_registry, repository, contents):
    """One `apply` serves each of *contents* under its number, and no request had to be tried again."""
    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.events("request.retried") == []
    for number, content in enumerate(contents):
        assert_served(second_registry, repository, str(number), content)


@pytest.mark.row("NET-14")
def test_answers_that_contradict_themselves_are_errors(registry, second_registry, name, declare, imgsync, source):
    """Two lengths, or a length and chunks: nobody guesses which is meant; it is tried as often as declared, and the others go on."""
    good = push(registry, f"{name}/good", "1", image(1))
    heads = {"both": b"Content-Length: 5\r\nTransfer-Encoding: chunked", "twice": b"Content-Length: 5\r\nContent-Length: 6"}
    for path, head in heads.items():
        push(registry, f"{name}/{path}", "1", image(path))
        source.add(Raw(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), target=f"{name}/{path}/tags/list")
    declare(f"[{name}/both, {name}/twice, {name}/good]")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    errors = errors_of(ran)
    assert set(errors) == {"both", "twice"}
    assert all("the answer is not HTTP" in error for error in errors.values())
    assert [len(source.requests(f"{name}/{path}/tags/list")) for path in heads] == [2, 2]
    assert_served(second_registry, f"m/{name}/good", "1", good)


@pytest.mark.row("NET-16")
def test_page_for_people_is_no_answer_on_any_route(registry, second_registry, name, declare, imgsync, source, destination):
    """A portal's 200 in the place of each answer of a copy: an error of that image that says so; none is taken for success, nor asked for over and over."""
    routes = {
        "tags": (source, "GET", "/tags/list", "is this a registry?"),
        "manifest": (source, "GET", "/manifests/", "the manifest is not valid JSON"),
        "blob": (source, "GET", "/blobs/", "the body ended at byte 37 of"),
        "begin": (destination, "POST", "/blobs/uploads/", "begin upload of blob"),
        "upload": (destination, "PUT", "/blobs/uploads/", "push blob"),
        "put": (destination, "PUT", "/manifests/", "the answer is no registry's, and the manifest is not there"),
    }
    for path, (proxy, method, target, _) in routes.items():
        push(registry, f"{name}/{path}", "1", image(path, layers=1))
        proxy.add(switches.html(), method=method, target=f"{name}/{path}{target}")
    declare(f"[{', '.join(f'{name}/{path}' for path in routes)}]", "referrers: false\nconcurrency: {blobs: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"]["copied"] == 0, ran.stdout
    errors = errors_of(ran)
    assert set(errors) == set(routes)
    for path, (proxy, method, target, says) in routes.items():
        assert says in errors[path]
        assert "<" not in errors[path]
        # Two attempts, and two more where a slow machine makes the source look so far away that blobs are read ahead.
        assert len(proxy.requests(f"^{method} .*{name}/{path}{target}")) <= 4, path
        assert second_registry.tags(f"m/{name}/{path}") == []


@pytest.mark.row("NET-16")
def test_certificate_that_expires_in_the_middle_of_a_run(registry, second_registry, name, write, imgsync, authority, tmp_path, destination):
    """New connections are refused with the reason, what is there stays, and no tag shows half an image."""
    for number in range(2):
        push(registry, f"{name}/app", str(number), image((name, number), layers=1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with FaultProxy(registry, tls=context) as source:
        # A connection that was shaken hands on before stays good: each request needs one of its own.
        source.add(switches.headers(Connection="close"))
        source.add(Expiring(authority, context), target="/blobs/", times=1)
        write(
            "mirrors.d/a.yaml",
            f"version: 1\nmirrors:\n  - {{name: a, source: {source}/{name}/app, destinations: ['{destination}/m'], "
            "concurrency: {images: 1, blobs: 1, queries: 1}, referrers: false, retry: {attempts: 3, interval: 0s}}\n",
        )
        write("registries.yaml", f"version: 1\nregistries:\n  {source}: {{tls: {{ca: ca.pem}}}}\n  {destination}: {{tls: false}}\n")

        ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"copied": 0, "failed": 2}
    for outcome in ran.json["outcomes"]:
        assert "its TLS certificate is not trusted" in outcome["error"]
        assert "expired" in outcome["error"]
    assert ran.events("request.retried") == []
    assert second_registry.tags(f"m/{name}/app") == []


class Expiring(switches.Switch):
    """From an answer on, have new connections shown a certificate of yesterday."""

    def __init__(self, authority: trustme.CA, context: ssl.SSLContext) -> None:
        self._authority = authority
        self._context = context

    def answer(self, request, answer):
        yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        self._authority.issue_cert("127.0.0.1", not_after=yesterday).configure_cert(self._context)
        return answer


# --- uploads


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
    errors = errors_of(ran)
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
