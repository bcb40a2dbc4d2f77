"""The fault proxy: each switch works, and without one it forwards faithfully."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests import switches
from tests.support.faults import FaultProxy
from tests.support.images import ANY_MANIFEST, digest_of, image, plain_client, push
from tests.support.witness import assert_served

BLOB = image(layers=1, layer_bytes=100_000)
LAYER = next(iter(BLOB.blobs))
CONTENT = BLOB.blobs[LAYER]


@pytest.fixture
def stored(lab) -> str:
    """Push `BLOB` as tag 1; return the repository's name."""
    push(lab.source_registry, lab.name, "1", BLOB)
    return lab.name


@pytest.fixture
def client(source) -> Iterator[httpx.Client]:
    """Return a client of the proxy."""
    with plain_client(source) as http:
        yield http


@pytest.fixture
def layer(stored, client) -> Callable[..., httpx.Response]:
    """Request the layer from the proxy."""
    return lambda **headers: client.get(f"/v2/{stored}/blobs/{LAYER}", headers=headers)


def _broken(layer: Callable[..., httpx.Response]) -> str:
    with pytest.raises(httpx.HTTPError) as caught:
        layer()
    return type(caught.value).__name__


def test_without_a_switch_everything_is_forwarded(lab):
    """Pushes and pulls arrive unchanged; sessions stay on the proxy."""
    content = push(lab.source, lab.name, "1", image())

    assert_served(lab.source_registry, lab.name, "1", content)
    assert len(lab.source.requests("^POST ")) == len(lab.source.requests("^PUT .*/blobs/uploads/")) == len(content.blobs)


def test_requests_are_recorded_with_bytes_and_times(source, stored, client, layer):
    """Method, target, headers, status, bytes each way, beginning and end."""
    layer(Range="bytes=10-19")
    client.post(f"/v2/{stored}/blobs/uploads/?a=b", content=b"12345")

    got, posted = source.seen
    assert (str(got), got.headers["range"], got.bytes_up, got.bytes_down) == (f"GET /v2/{stored}/blobs/{LAYER} 206", "bytes=10-19", 0, 10)
    assert (posted.target, posted.path, posted.bytes_up, posted.body) == (f"/v2/{stored}/blobs/uploads/?a=b", f"/v2/{stored}/blobs/uploads/", 5, b"12345")
    assert got.began < got.ended < posted.began < posted.ended


def test_switches_apply_by_method_target_and_count(source, stored, client):
    """Only to matching requests."""
    source.add(switches.status(500), method="GET", target="/manifests/1$", nth=2)
    source.add(switches.status(503), method="HEAD", target="/manifests/", times=1)

    def ask(method: str) -> int:
        return client.request(method, f"/v2/{stored}/manifests/1", headers={"Accept": ANY_MANIFEST}).status_code

    assert [ask(method) for method in ("GET", "HEAD", "GET", "HEAD", "GET")] == [200, 503, 500, 200, 200]


def test_forget_drops_records_and_clear_drops_switches(source, client):
    """Each alone."""
    source.add(switches.status(500))
    client.get("/v2/")
    source.forget()
    source.clear()

    assert client.get("/v2/").status_code == 200
    assert len(source.seen) == 1


@pytest.mark.parametrize("code", [401, 403, 404, 429, 500, 503])
def test_status_answers_for_the_registry(code, source, client):
    """The error has the specification's form."""
    source.add(switches.status(code, error="DENIED", retry_after="7", headers={"X-Extra": "1"}))

    answer = client.get("/v2/")

    assert (answer.status_code, answer.json()["errors"][0]["code"], answer.headers["retry-after"], answer.headers["x-extra"]) == (code, "DENIED", "7", "1")


def test_html_answers_with_a_page(source, client):
    """Instead of JSON."""
    source.add(switches.html())

    assert client.get("/v2/").headers["content-type"].startswith("text/html")


def test_tags_null_answers_null(source, client):
    """Instead of a list."""
    source.add(switches.tags_null("a"), target="tags/list")

    assert client.get("/v2/a/tags/list").json() == {"name": "a", "tags": None}


def test_huge_manifest_has_the_right_digest(source, client):
    """Over 4 MiB."""
    source.add(switches.huge_manifest(), target="/manifests/")

    answer = client.get("/v2/a/manifests/1")

    assert len(answer.content) > 4 << 20
    assert answer.headers["docker-content-digest"] == digest_of(answer.content)


def test_require_authorization_challenges(source, client):
    """Without the right header the challenge comes, with it the registry's answer."""
    source.add(switches.require_authorization("Bearer x", 'Bearer realm="y"'))

    refused = client.get("/v2/")

    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="y"')
    assert client.get("/v2/", headers={"Authorization": "Bearer x"}).status_code == 200


@pytest.mark.parametrize("framing", [None, "length", "chunked"])
def test_drop_body_after_cuts_at_the_byte(framing, source, layer):
    """The client sees a broken body."""
    source.add(switches.drop_body_after(20_000, framing=framing), target="/blobs/", times=1)

    assert _broken(layer) == "RemoteProtocolError"
    assert source.seen[0].bytes_down == 20_000
    assert layer().content == CONTENT


def test_drop_body_after_close_delimited(source, layer):
    """The cut body looks complete."""
    source.add(switches.drop_body_after(20_000, framing="close"), target="/blobs/")

    assert layer().content == CONTENT[:20_000]


def test_drop_body_after_with_reset(source, layer):
    """The client sees a reset."""
    source.add(switches.drop_body_after(20_000, reset=True), target="/blobs/")

    assert _broken(layer) == "ReadError"


def test_reset_gives_no_answer(source, layer):
    """The connection is reset."""
    source.add(switches.reset(), target="/blobs/")

    assert _broken(layer) == "ReadError"


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_reframe_hides_the_length(framing, source, layer):
    """The body is the same."""
    source.add(switches.reframe(framing), target="/blobs/")

    answer = layer()

    assert answer.content == CONTENT
    assert "content-length" not in answer.headers


def test_corrupt_byte_changes_one_byte(source, layer):
    """And no other."""
    source.add(switches.corrupt_byte(54_321), target="/blobs/")

    got = layer().content

    assert [at for at, (one, other) in enumerate(zip(got, CONTENT, strict=True)) if one != other] == [54_321]


def test_extra_bytes_appends_bytes(source, layer):
    """More than announced."""
    source.add(switches.extra_bytes(b"!"), target="/blobs/")

    assert layer().content == CONTENT + b"!"


def test_headers_are_set_and_removed(source, layer):
    """Others stay."""
    source.add(switches.headers(Docker_Content_Digest=None, Link="<x>"), target="/blobs/")

    answer = layer()

    assert "docker-content-digest" not in answer.headers
    assert (answer.headers["link"], answer.headers["content-length"]) == ("<x>", str(len(CONTENT)))


def test_locations_are_changed(lab, client):
    """Relative, on another host, with another scheme, missing."""
    uploads = f"/v2/{lab.name}/blobs/uploads/"
    honest = client.post(uploads).headers["location"]
    lab.source.add(switches.relative_location(), method="POST", nth=1)
    lab.source.add(switches.location(lambda url: url.replace(lab.source.host, "example.invalid")), method="POST", nth=2)
    lab.source.add(switches.location(lambda url: url.replace("http:", "https:")), method="POST", nth=3)
    lab.source.add(switches.location(lambda _: None), method="POST", nth=4)

    relative, elsewhere, secure, gone = (client.post(uploads).headers.get("location") for _ in range(4))

    assert honest.startswith(f"{lab.source.url}{uploads}")
    assert relative is not None
    assert relative.startswith(uploads)
    assert elsewhere is not None
    assert elsewhere.startswith(f"http://example.invalid{uploads}")
    assert secure is not None
    assert secure.startswith(f"https://{lab.source.host}{uploads}")
    assert gone is None


def test_redirect_leads_to_another_host(lab, layer):
    """It serves the same and records requests."""
    lab.source.add(switches.redirect(lab.other_host.host), target="/blobs/")

    answer = layer()
    followed = httpx.get(answer.headers["location"], headers={"X-Sent": "CANARY"}, trust_env=False)

    assert answer.status_code == 307
    assert followed.content == CONTENT
    assert lab.other_host.host.startswith("127.0.0.2:")
    assert "CANARY" in lab.other_host.everything()
    assert "CANARY" not in lab.source.everything()


def test_refuse_mount_starts_a_session(lab, stored, client):
    """Though the registry would mount."""
    target = f"/v2/{stored}-other/blobs/uploads/?mount={LAYER}&from={stored}"
    lab.source.add(switches.refuse_mount(), method="POST", nth=2)

    assert [client.post(target).status_code for _ in range(2)] == [201, 202]


def test_no_ranges_ignores_range(source, layer):
    """The whole body is sent."""
    source.add(switches.no_ranges(), target="/blobs/")

    answer = layer(Range="bytes=5-")

    assert (answer.status_code, answer.content) == (200, CONTENT)


def test_break_upload_after_loses_the_blob(lab, client):
    """The upload breaks at that byte."""
    begun = client.post(f"/v2/{lab.name}/blobs/uploads/").headers["location"]
    lab.source.add(switches.break_upload_after(50_000), method="PUT")

    with pytest.raises(httpx.HTTPError):
        client.put(f"{begun}&digest={LAYER}", content=CONTENT)

    assert lab.source_registry.get(f"{lab.name}/blobs/{LAYER}").status_code == 404


def test_early_answer_comes_before_the_body_is_read(source):
    """After the head alone."""
    source.add(switches.status(401, early=True), method="PUT")

    with socket.create_connection(("127.0.0.1", source.port), timeout=10) as sock:
        sock.sendall(b"PUT /v2/a/blobs/uploads/b HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 401 Unauthorized\r\n")


def test_hold_stops_before_the_registry(lab, stored, layer):
    """Released, the request is answered."""
    held = lab.source.add(switches.Hold(), target="/blobs/")
    mark = lab.source_registry.mark()
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(layer()))
    asking.start()
    held.reached()
    assert lab.source_registry.requests(mark, prefix=f"/v2/{stored}/") == ()

    held.release()
    asking.join(10)

    assert [answer.content for answer in answers] == [CONTENT]


def test_hold_in_the_body(source, stored, client):
    """Bytes before the hold arrive, the rest after the release."""
    held = source.add(switches.Hold(after_bytes=30_000), target="/blobs/")

    with client.stream("GET", f"/v2/{stored}/blobs/{LAYER}") as answer:
        pieces = answer.iter_raw()
        got = b""
        while len(got) < 30_000:
            got += next(pieces)
        held.reached()
        assert len(got) == 30_000
        held.release()
        got += b"".join(pieces)

    assert got == CONTENT


def test_uploads_are_streamed(lab, client):
    """The first bytes are forwarded before the last ones are sent."""
    sent_on = threading.Event()

    class Watch(switches.Switch):
        def upload(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
            passed = 0
            for piece in pieces:
                yield piece
                passed += len(piece)
                if passed == 50_000:
                    sent_on.set()

    lab.source.add(Watch(), method="PUT")
    begun = client.post(f"/v2/{lab.name}/blobs/uploads/").headers["location"]

    def body() -> Iterator[bytes]:
        yield CONTENT[:50_000]
        assert sent_on.wait(10)
        yield CONTENT[50_000:]

    done = client.put(f"{begun}&digest={LAYER}", content=body(), headers={"Content-Length": str(len(CONTENT))})

    assert done.status_code == 201
    assert lab.source_registry.get(f"{lab.name}/blobs/{LAYER}").content == CONTENT


def test_chunked_uploads_are_forwarded(lab, client):
    """Bodies without a length work."""
    begun = client.post(f"/v2/{lab.name}/blobs/uploads/").headers["location"]

    done = client.put(f"{begun}&digest={LAYER}", content=iter((CONTENT[:10], CONTENT[10:])))

    assert done.status_code == 201
    assert lab.source.seen[-1].headers["transfer-encoding"] == "chunked"
    assert lab.source_registry.get(f"{lab.name}/blobs/{LAYER}").content == CONTENT


def test_proxy_without_a_registry_answers_404():
    """Requests are recorded."""
    with FaultProxy(None) as nobody:
        assert httpx.get(nobody.url + "/v2/", trust_env=False).status_code == 404
        assert nobody.requests() == ["GET /v2/"]


def test_closed_proxy_refuses_connections():
    """Held requests are released."""
    with FaultProxy(None) as proxy:
        held = proxy.add(switches.Hold())

        def ask() -> None:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(proxy.url, trust_env=False)

        asking = threading.Thread(target=ask)
        asking.start()
        held.reached()

    asking.join(10)
    assert not asking.is_alive()
    with pytest.raises(httpx.ConnectError):
        httpx.get(proxy.url, trust_env=False)


def test_raw_answer_is_sent_as_it_is():
    """With its status line; then the connection ends."""
    with FaultProxy(None) as proxy:
        proxy.add(switches.Raw(b"HTTP/1.1 200 Fine\r\nA: 1\r\n", b"A: 2\r\n\r\nbody"))
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            received = b"".join(iter(lambda: sock.recv(100), b""))

    assert received == b"HTTP/1.1 200 Fine\r\nA: 1\r\nA: 2\r\n\r\nbody"


def test_chance_hits_the_same_requests_for_the_same_seed():
    """About as often as declared."""

    def statuses(seed: int) -> list[int]:
        with FaultProxy(None) as proxy, httpx.Client() as client:
            proxy.add(switches.status(503), chance=0.3, seed=seed)
            return [client.get(f"http://{proxy}/").status_code for _ in range(40)]

    assert statuses(1) == statuses(1) != statuses(2)
    assert 2 < statuses(1).count(503) < 30
