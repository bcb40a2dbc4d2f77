"""Retries and `Retry-After`."""

from __future__ import annotations

import ssl
import threading
import time

import pytest

from imgsync.oci.auth.authenticator import Authenticator, TokenResponse
from imgsync.oci.auth.refused_logins import RefusedLogins
from imgsync.oci.endpoint import Endpoint
from imgsync.oci.errors import Operation, find_retry_after, make_status_error, parse_retry_after
from imgsync.oci.limits.retry import RetryPolicy, compute_pause_seconds, is_transient
from tests import switches
from tests.support.images import image
from tests.support.outcomes import only_plan_error
from tests.switches import Respond


@pytest.mark.row("DOS-11")
@pytest.mark.parametrize(
    ("status", "retry_after", "told"),
    [
        (429, "7200", "until 20"),
        (503, "9" * 18, "for more than a year"),
        (429, "Fri, 31 Dec 9999 23:59:59 GMT", "for more than a year"),
    ],
)
def test_retry_after_of_years_ends_the_registry(status, retry_after, told, lab):
    """Over five minutes the registry gets no more requests in this run, which says until when."""
    for number in range(3):
        lab.push("app", str(number), image(number))
    lab.source.add(switches.status(status, retry_after=retry_after), method="GET", target="/blobs/")
    lab.declare("app", "concurrency: {images: 1, blobs: 1}\nreferrers: false")

    began = time.monotonic()
    # With a brake all is planned before the first blob is asked for: none of the three is found out about too late.
    ran = lab.run("apply", "-o", "json", "--max-changes", "3")

    assert ran.code == 75, ran.stderr
    assert time.monotonic() - began < 40, "not a minute of it was waited"
    assert f"{lab.source.host} accepts no requests {told}" in ran.json["stopped"]
    assert (ran.json["summary"]["failed"], ran.json["summary"]["remaining"]) == (0, 3)
    assert len(lab.source.requests("/blobs/")) == 1
    assert lab.served_tags("app") == []


@pytest.mark.row("DOS-11")
def test_token_server_with_long_retry_after_is_an_error(lab):
    """It is asked once."""
    lab.push("app", "1", image(1))
    lab.source.add(switches.status(429, retry_after="7200", error="TOOMANYREQUESTS"), target="^/token")
    lab.source.add(Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{lab.source.url}/token",service="x"'}), target="^/v2/")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json", "--run-timeout", "30s")

    assert "429 TOOMANYREQUESTS" in only_plan_error(ran)
    assert len(lab.source.requests("/token")) == 1


SECOND = 1_000_000_000


@pytest.mark.row("NET-01")
def test_429_pauses_all_connections(lab):
    """No request is sent for the two seconds, and everything arrives."""
    for number in range(8):
        lab.push("app", str(number), image((lab.name, number)))
    lab.source.add(switches.status(429, retry_after="2"), target="/manifests/", nth=2)
    lab.declare("app", "concurrency: {images: 2, blobs: 2, queries: 2}\nreferrers: false")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["copied"] == 8
    assert [line["wait_seconds"] for line in ran.events("registry.throttled")] == [2]
    told = next(one.ended for one in lab.source.seen if one.status == 429)
    # What was on its way when the answer came is no more than the lanes that there are: two for questions, four for blobs.
    assert len([one for one in lab.source.seen if told < one.began < told + 1.9 * SECOND]) <= 6
    assert len([one for one in lab.source.seen if one.began >= told + 1.9 * SECOND]) > 12


@pytest.mark.row("NET-03", "NET-06")
def test_throttled_source_fails_alone(lab):
    """A source with a bare 429 is retried as declared; images of others are copied."""
    lab.push("throttled", "1", image(1))
    good = lab.push("good", "1", image(2))
    lab.source.add(switches.status(429, retry_after="soon"))
    lab.write(
        "mirrors.d/a.yaml",
        f"version: 1\nmirrors:\n"
        f"  - {{name: a, source: {lab.source}/{lab.name}/throttled, destinations: ['{lab.destination}/m'], retry: {{attempts: 2, interval: 0s}}}}\n"
        f"  - {{name: b, source: {lab.source_registry}/{lab.name}/good, destinations: ['{lab.destination}/m']}}\n",
    )
    lab.write(
        "registries.yaml", "version: 1\nregistries:\n" + "".join(f"  {one}: {{tls: false}}\n" for one in (lab.source, lab.destination, lab.source_registry))
    )

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert [error["mirror"] for error in ran.json["errors"]] == ["a"]
    assert "(source): 429" in ran.json["errors"][0]["message"]
    assert "lower `rate` or `concurrency` for this registry" in ran.json["errors"][0]["message"]
    assert len(lab.source.seen) == 2
    lab.assert_served("good", "1", good)


@pytest.mark.row("NET-05")
def test_fifty_callers_request_one_token():
    """One requests and retries; the others wait for its result."""
    operation = Operation("pull", "registry.example/app", "source")
    entered = threading.Semaphore(0)
    running, most, asked = 0, 0, 0
    everybody_is_here = threading.Event()

    def ask(*_: object) -> TokenResponse:
        nonlocal running, most, asked
        running, asked = running + 1, asked + 1
        most = max(most, running)
        everybody_is_here.wait(10)
        running -= 1
        if asked == 1:
            raise make_status_error(operation, 429, headers={"retry-after": "0"}, body=b"")
        return TokenResponse(200, b'{"token": "net-SECRET", "expires_in": 300}')

    endpoint = Endpoint("registry.example", "source", ssl.create_default_context, Nobody())
    authenticator = Authenticator(endpoint, ask, RefusedLogins())
    authenticator.learn_challenge(['Bearer realm="https://registry.example/token"'], ["repository:app:pull"], sent=None, operation=operation)
    got: list[str | None] = []

    def call() -> None:
        entered.release()
        got.append(authenticator.make_header(["repository:app:pull"], operation=operation, retry_policy=RetryPolicy(interval_seconds=0)))

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
    """A keychain without logins."""

    def find(self, path: str, *, renew: bool = False) -> None:
        return None


@pytest.mark.row("NET-05")
def test_throttled_token_server_is_retried(lab):
    """A 429 of the token server costs one more request."""
    for number in range(4):
        lab.push("app", str(number), image((lab.name, number)))
    lab.source.add(switches.status(429, retry_after="0"), target="^/token", times=1)
    lab.source.add(Respond(200, {"token": "net-SECRET", "expires_in": 300}), target="^/token")
    challenge = f'Bearer realm="{lab.source.url}/token",service="x"'
    lab.source.add(switches.require_authorization("Bearer net-SECRET", challenge), target="^/v2/.*/(manifests|blobs)/")
    lab.declare("app", "referrers: false")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    asked = lab.source.recorded("^GET /token")
    assert [one.status for one in asked] == [429, 200]
    assert asked[0].ended <= asked[1].began


@pytest.mark.row("NET-07")
def test_every_transient_status_is_retried(lab):
    """Seven different errors in a row, for a read and a push."""
    content = lab.push("app", "1", image(1))
    for number, code in enumerate((500, 502, 503, 504, 408, 499, 522, 520), 1):
        lab.source.add(switches.status(code), target="/tags/list", nth=number)
        lab.destination.add(switches.status(code), method="PUT", target="/manifests/1$", nth=number)
    lab.declare("app", retry="{attempts: 9, interval: 0s}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert (len(lab.source.requests("tags/list")), len(lab.destination.requests("PUT .*/manifests/1$"))) == (9, 9)
    lab.assert_served("app", "1", content)


@pytest.mark.row("NET-02")
@pytest.mark.row("DOS-11")
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("999999999", 999999999.0),
        (" 0 ", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thursday, 01-Jan-70 00:01:40 GMT", 90.0),
        ("Thu Jan  1 00:01:40 1970", 90.0),
        ("Thu, 01 Jan 1970 00:01:40 -0000", 90.0),
        ("Thu, 01 Jan 1970 01:01:40 +0100", 90.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", None),
        ("Thu, 01 Jan 1970 25:00:00 GMT", None),
        ("9" * 18, 1e15),
        ("9" * 400 + ".5", 1e15),
        ("0." + "3" * 30, 1 / 3),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("1e9", None),
        ("٣", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999999999", None),
    ],
)
def test_retry_after_is_parsed(text, seconds):
    """Seconds, or a date in one of three formats; past or malformed values are ignored."""
    assert parse_retry_after(text, now=10.0) == seconds


@pytest.mark.row("NET-02")
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "1790000005"}, 5.0),
        ({"retry-after": "1790000005.5"}, 5.5),
        ({"retry-after": "1790000005000"}, 5.0),
        ({"retry-after": "1789999999"}, None),
        ({"retry-after": "9" * 15}, float("9" * 15)),
        ({"ratelimit-reset": "9" * 18}, 1e15),
        ({"x-ratelimit-reset": "1790000007"}, 7.0),
        ({"ratelimit-reset": "30"}, 30.0),
        ({"retry-after": "3", "x-ratelimit-reset": "1790000007"}, 3.0),
        ({"retry-after": "soon", "x-ratelimit-reset": "1790000007"}, 7.0),
        ({}, None),
    ],
    ids=str,
)
def test_time_since_1970_is_a_moment(headers, seconds):
    """In Retry-After as Docker Hub sends it, and in the headers that name when a limit is reset."""
    assert find_retry_after(headers, now=1790000000.0) == seconds


@pytest.mark.row("NET-03")
@pytest.mark.parametrize("said", ["", "soon", "-1", "1e9", "Thu, 01 Jan 1970 00:00:01 GMT", "999999999999", "9" * 30, "300"])
def test_pauses_after_429_are_bounded(said):
    """Random, doubling pauses up to a minute; a plausible Retry-After counts up to five minutes."""
    error = make_status_error(Operation("pull", "r/x:1", "source"), 429, headers={"retry-after": said}, body=b"")
    pauses = [compute_pause_seconds(RetryPolicy(), error, attempt=number) for number in range(1, 9) for _ in range(20)]

    if said == "300":
        assert set(pauses) == {300.0}
    elif said.startswith("999999999999"):
        assert not is_transient(error), "nobody waits so long"
    else:
        assert all(0 <= pause <= 60 for pause in pauses)
        assert max(pauses[:20]) <= 4 < max(pauses[-20:])
