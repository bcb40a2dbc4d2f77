"""HTTP proxies."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import threading
import time

import httpx
import pytest

from imgsync.oci.http.proxy import parse_proxy
from imgsync.oci.http.stream import PlainStream
from imgsync.oci.http.wait_limit import limit_wait, never_end
from tests.support.images import image
from tests.support.outcomes import error_of
from tests.support.tunnel import Tunnel
from tests.switches import Respond


@pytest.mark.row("AUTH-22")
def test_login_of_a_proxy_is_never_shown(lab):
    """Only the proxy gets it."""
    lab.push("app", "1", image(1))
    login = base64.b64encode(b"me:proxy word-SECRET").decode()
    lab.source.add(Respond(403, {"errors": [{"code": "DENIED", "message": f"you sent {login}, that is proxy word-SECRET or proxy%20word-SECRET"}]}))
    proxy = lab.source.url.replace("://", "://me:proxy%20word-SECRET@")
    lab.workplace.allow_plain_http(lab.source_registry, settings={lab.source_registry.host: {"proxy": proxy}})
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=["127.0.0.1:1/m"], retry={"attempts": 1})

    message = error_of(lab.run("plan", "-o", "json", "--log-level", "debug"))
    shown = lab.run("validate", "--show")

    assert {one.headers["proxy-authorization"] for one in lab.source.seen} == {f"Basic {login}"}
    assert "you sent ***, that is *** or ***" in message
    assert lab.source.host in shown.stdout


@pytest.fixture
def behind(lab, secure, authority):
    """Return a function that declares a TLS source behind a proxy, and pushes an image."""
    lab.push("app", "1", image((lab.name, 1)))
    source = secure(lab.source_registry)
    ca = lab.folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))

    def declare(proxy: str, **entries: object):
        tls = {"tls": {"ca": str(ca)}}
        settings = {source.host: tls | {"proxy": proxy}, lab.destination.host: {"tls": False}} | dict.fromkeys(entries.get("trusted", ()), tls)
        lab.workplace.registries_file(json.dumps({"version": 1, "registries": settings}))
        lab.workplace.mirror("a", source=f"{source}/{lab.name}/app", destinations=[f"{lab.destination}/m"], retry={"attempts": 3, "interval": "0s"})
        return source

    return declare


@pytest.mark.row("AUTH-22", "AUTH-28")
@pytest.mark.parametrize("encrypted", [False, True], ids=["http", "https"])
def test_tls_registry_behind_a_proxy(encrypted, lab, behind, authority):
    """The proxy sees host and login; the registry sees neither login nor the proxy's URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Tunnel(tls=context if encrypted else None, login="me:word-SECRET") as tunnel:
        source = behind(tunnel.url.replace("://", "://me:word-SECRET@"), trusted=[tunnel.host] if encrypted else [])

        ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert len(lab.served_tags("app")) == 1
    assert tunnel.asked
    assert {head.split(b"\r\n")[0] for head in tunnel.asked} == {f"CONNECT {source.host} HTTP/1.1".encode()}
    assert all("proxy-authorization" not in one.headers for one in source.seen)
    assert all(one.path.startswith("/v2/") for one in source.seen)


@pytest.mark.row("AUTH-28")
def test_untrusted_https_proxy_gets_no_request(lab, behind, authority):
    """Not even the login: the CA of the registry is not the proxy's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Tunnel(tls=context) as tunnel:
        behind(tunnel.url)

        message = error_of(lab.run("plan", "-o", "json"))

    assert tunnel.asked == []
    assert f"no way through the proxy {tunnel.host}: " in message
    assert "certificate verify failed" in message


@pytest.mark.row("AUTH-28")
@pytest.mark.parametrize(("login", "says"), [("", "requires a login"), ("me:wrong@", "refuses the login in its URL")], ids=["none", "wrong"])
def test_refused_login_is_not_sent_again(login, says, lab, behind):
    """One answer 407 is enough for the run."""
    with Tunnel(login="me:word") as tunnel:
        behind(tunnel.url.replace("://", f"://{login}"))

        message = error_of(lab.run("plan", "-o", "json"))

    assert f"the proxy {tunnel.host} {says} (407)" in message
    assert len(tunnel.asked) == 1


@pytest.mark.parametrize(("status", "says", "asked"), [(403, "does not allow connections to", 1), (503, "cannot reach", 3)], ids=["forbidden", "unreachable"])
def test_refused_tunnel_names_the_proxy(status, says, asked, lab, behind):
    """It is retried only if that can help."""
    with Tunnel(status=status) as tunnel:
        source = behind(tunnel.url)

        message = error_of(lab.run("plan", "-o", "json"))

    assert f"{tunnel.host} {says} {source.host} ({status})" in message
    assert len(tunnel.asked) == asked


def test_dead_proxy_is_named(lab, behind):
    """Not the registry behind it."""
    behind("http://127.0.0.1:1")

    assert "no way through the proxy 127.0.0.1:1: nothing listens at 127.0.0.1:1 (Connection refused)" in error_of(lab.run("plan", "-o", "json"))


@pytest.mark.row("AUTH-04", "AUTH-28")
@pytest.mark.parametrize("host", ["10.0.0.5", "127.1", "2130706433", "localhost", "[::ffff:10.0.0.5]", "[64:ff9b::a00:5]", "169.254.169.254", "168.63.129.16"])
def test_private_literal_is_refused_behind_a_proxy(host, lab):
    """The proxy would be sent there; names that it resolves cannot be judged."""
    lab.source.add(Respond(307, headers={"Location": f"http://{host}/stolen"}), target="/manifests/")
    lab.workplace.allow_plain_http("registry.example", lab.destination, settings={"registry.example": {"proxy": lab.source.url}})
    lab.workplace.mirror("a", source="registry.example/app", tags={"names": ["1"]}, destinations=[f"{lab.destination}/m"], retry={"attempts": 1})

    message = error_of(lab.run("plan", "-o", "json"))

    assert "refused to connect: " in message
    assert not [one for one in lab.source.seen if "stolen" in one.path]


@pytest.mark.row("AUTH-28")
def test_refused_login_for_plain_http(lab):
    """A 407 is the proxy's, not the registry's."""
    lab.source.add(Respond(407))
    lab.workplace.allow_plain_http("registry.example", lab.destination, settings={"registry.example": {"proxy": lab.source.url}})
    lab.workplace.mirror(
        "a", source="registry.example/app", tags={"names": ["1"]}, destinations=[f"{lab.destination}/m"], retry={"attempts": 3, "interval": "0s"}
    )

    message = error_of(lab.run("plan", "-o", "json"))

    assert f"the proxy {lab.source.host} requires a login (407)" in message
    assert len(lab.source.seen) == 1


@pytest.mark.parametrize(("host", "named"), [("::1", b"[::1]:5000"), ("registry.example", b"registry.example:5000")])
def test_tunnel_names_its_target(host, named):
    """Addresses of IPv6 stand in brackets."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

        stream = parse_proxy("http://proxy.example:3128").open_tunnel(PlainStream(ours), ("https", host, 5000), limit_wait(5, never_end))
        theirs.sendall(b"x")

        assert theirs.recv(1000) == b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (named, named)
        assert stream.receive(10) == b"x"


@pytest.mark.row("DOS-17")
def test_dripping_proxy_is_left():
    """The answer to CONNECT has a limit, and not one for each byte."""
    ours, theirs = socket.socketpair()
    over = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            theirs.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not over.wait(0.05):
                theirs.sendall(b"x")

    threading.Thread(target=drip, daemon=True).start()
    began = time.monotonic()
    with ours, theirs:
        with pytest.raises(httpx.ProxyError, match="did not arrive in time"):
            parse_proxy("http://proxy.example:3128").open_tunnel(PlainStream(ours), ("https", "r.example", 443), limit_wait(0.5, never_end))
        over.set()

    assert time.monotonic() - began < 10
