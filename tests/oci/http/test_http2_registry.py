"""HTTP/2 with a real registry, beside HTTP/1.1."""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator

import pytest

from imgsync.oci.http.client import HttpClient
from imgsync.oci.http.connector import Connector
from imgsync.oci.http.request import Request
from imgsync.oci.http.shared_connections import SharedConnections
from imgsync.oci.http.ssrf_guard import SsrfGuard
from tests.support.faults import FaultProxy
from tests.support.http2_server import Http2Server
from tests.support.images import image, push
from tests.support.tunnel import Tunnel

# They differ from one request to the next.
_CHANGING = {"date", "location", "docker-upload-uuid"}


@pytest.fixture
def clients(tls_registry) -> Iterator[tuple[HttpClient, HttpClient]]:
    """A client that only knows HTTP/1.1, and one that shares HTTP/2."""
    guard = SsrfGuard([("127.0.0.1", tls_registry.port)])
    context = tls_registry.trust()
    connector = Connector(lambda _: context, guard)
    shared = SharedConnections(connector)
    old, new = HttpClient(connector), HttpClient(connector, shared)
    yield old, new
    old.close()
    new.close()
    shared.close()


def test_registry_answers_the_same_by_both(lab, tls_registry, clients):
    """Status, headers and body do not depend on the protocol."""
    content = push(tls_registry, f"{lab.name}/app", "1", image(lab.name, layers=1), client=tls_registry.client())
    blob = json.loads(content.raw)["layers"][0]["digest"]
    asked = [
        ("GET", "/v2/", None),
        ("HEAD", f"/v2/{lab.name}/app/manifests/1", None),
        ("GET", f"/v2/{lab.name}/app/manifests/{content.digest}", None),
        ("GET", f"/v2/{lab.name}/app/blobs/{blob}", None),
        ("HEAD", f"/v2/{lab.name}/app/blobs/{blob}", None),
        ("GET", f"/v2/{lab.name}/app/blobs/sha256:{'0' * 64}", None),
        ("GET", f"/v2/{lab.name}/app/tags/list", None),
        ("POST", f"/v2/{lab.name}/app/blobs/uploads/", None),
        ("PUT", f"/v2/{lab.name}/app/manifests/1", content.raw),
        ("PUT", f"/v2/{lab.name}/app/manifests/3", b"{}"),
        ("PATCH", f"/v2/{lab.name}/app/blobs/uploads/0", b""),
        ("DELETE", f"/v2/{lab.name}/app/blobs/uploads/0", None),
    ]
    mark = tls_registry.mark()
    answers = [[_ask(client, tls_registry.port, *one) for one in asked] for client in clients]

    assert answers[0] == answers[1]
    assert [one.protocol for one in tls_registry.requests(mark)] == ["HTTP/1.1"] * len(asked) + ["HTTP/2.0"] * len(asked)


def _ask(client: HttpClient, port: int, method: str, target: str, body: bytes | None) -> tuple[int, dict[str, str], bytes]:
    headers = (("Accept", "application/vnd.oci.image.manifest.v1+json"), ("Content-Type", "application/vnd.oci.image.manifest.v1+json"))
    request = Request(method, ("https", "127.0.0.1", port), f"127.0.0.1:{port}", target, headers, body)
    with contextlib.closing(client.send(request)) as answer:
        content = b"".join(answer.iter_raw())
        # Go's server omits the length of an empty body in one of the protocols.
        return answer.status_code, {name: value for name, value in answer.headers.items() if name not in _CHANGING | {"content-length"}}, content


@pytest.mark.parametrize("way", ["HTTP/2", "through a proxy", "switched off"])
def test_run_copies_by_http2(way, lab, tls_registry):
    """Small requests use HTTP/2, unless it is switched off; large blobs do not."""
    content = push(tls_registry, f"{lab.name}/app", "1", image(lab.name, layers=1, layer_bytes=400_000), client=tls_registry.client())
    with Tunnel() as tunnel:
        more = {"HTTP/2": {}, "through a proxy": {"proxy": tunnel.url}, "switched off": {"http2": False}}[way]
        lab.workplace.registries_file(json.dumps({"version": 1, "registries": {tls_registry.host: {"tls": {"ca": str(tls_registry.ca)}, **more}}}))
        lab.workplace.mirror("a", source=f"{tls_registry}/{lab.name}/app", destinations=[f"{tls_registry}/m"], retry={"attempts": 1})
        mark = tls_registry.mark()
        ran = lab.run("apply", "-o", "json", "--log-level", "debug")
        assert bool(tunnel.asked) == (way == "through a proxy")
    asked = tls_registry.requests(mark)

    assert ran.code == 0
    chosen = [(event["origin"], event["server"], event["protocol"]) for event in ran.events("registry.protocol")]
    sides = [] if way == "switched off" else ["destination", "source"]
    assert sorted(chosen) == [(side, tls_registry.host, "HTTP/2") for side in sides]
    assert tls_registry.digest(f"m/{lab.name}/app", "1") == content.digest
    large = [one for one in asked if one.method == "GET" and "/blobs/" in one.path]
    assert {one.protocol for one in large} <= {"HTTP/1.1", "HTTP/2.0"}
    assert {one.protocol for one in asked if "/manifests/" in one.path} == {"HTTP/1.1" if way == "switched off" else "HTTP/2.0"}
    layer = json.loads(content.raw)["layers"][0]["digest"]
    assert {one.protocol for one in asked if one.path.endswith(layer) and one.method == "GET"} == {"HTTP/1.1"}


def test_server_without_http2_is_named(lab, authority):
    """The debug log says that it chose HTTP/1.1."""
    lab.push("app", "1", image(lab.name))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca = lab.write("ca.pem", authority.cert_pem.bytes().decode())
    with FaultProxy(lab.source_registry, tls=context) as source:
        registries = {source.host: {"tls": {"ca": str(ca)}}, lab.destination.host: {"tls": False}}
        lab.workplace.registries_file(json.dumps({"version": 1, "registries": registries}))
        lab.workplace.mirror("a", source=f"{source}/{lab.name}/app", destinations=[f"{lab.destination}/m"])
        ran = lab.run("plan", "-o", "json", "--log-level", "debug")

    assert ran.code == 0
    assert [(event["origin"], event["server"], event["protocol"]) for event in ran.events("registry.protocol")] == [("source", source.host, "HTTP/1.1")]


def test_broken_http2_is_reported_once(lab, authority):
    """The run continues with HTTP/1.1, and the warning names the setting."""
    server = Http2Server(authority, lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    ca = lab.write("ca.pem", authority.cert_pem.bytes().decode())
    lab.workplace.registries_file(json.dumps({"version": 1, "registries": {server.host: {"tls": {"ca": str(ca)}}, lab.destination.host: {"tls": False}}}))
    lab.workplace.mirror("a", source=f"{server.host}/app", destinations=[f"{lab.destination}/m"], retry={"attempts": 1}, tags={"names": ["1", "2"]})

    with contextlib.closing(server):
        ran = lab.run("plan", "-o", "json")

    assert ran.stderr.count("http2: false") == 1
    assert [event["registry"] for event in ran.events("registry.warned")] == [server.host]
    assert len(server.heads) >= 2


def test_plain_http_does_not_import_http2():
    """Only servers that choose it need it."""
    code = "import imgsync.__main__, imgsync.oci.transport, sys; print([name for name in sys.modules if name.startswith('imgsync.oci.http.http2')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
