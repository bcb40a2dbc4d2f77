"""TLS sessions: resumed at the same server, by the same trust, while its certificate is valid."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import Iterator

import pytest
import trustme

from imgsync.oci.http.connector import Connector
from imgsync.oci.http.nested_tls import NestedTlsStream
from imgsync.oci.http.proxy import parse_proxy
from imgsync.oci.http.ssrf_guard import SsrfGuard
from imgsync.oci.http.stream import TlsStream
from tests.support.listener import Listener
from tests.support.tunnel import Tunnel

TLS_VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Echo(Listener):
    """Sends back each byte, over TLS by *context*."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self.context = context

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), self.context.wrap_socket(sock, server_side=True) as client:
            while data := client.recv(1):
                client.sendall(data)


@pytest.fixture
def echo(authority: trustme.CA) -> Iterator[Echo]:
    """A running server."""
    with Echo(certified(authority)) as running:
        yield running


def certified(authority: trustme.CA, **options: dt.datetime) -> ssl.SSLContext:
    """Return a server's context with a new certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", **options).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Return a client's context that trusts *authority*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


def connecting(trust: ssl.SSLContext, *servers: Listener, proxy: str | None = None) -> Connector:
    """Return what connects to *servers*."""
    found = None if proxy is None else parse_proxy(proxy)
    guard = SsrfGuard([("127.0.0.1", server.port) for server in servers], proxy=None if found is None else found.origin[1:])
    return Connector(lambda _: trust, guard, found)


def resumes(connector: Connector, server: Listener, *, offers_http2: bool = False) -> bool:
    """Open a stream, use it, and return whether its session was resumed."""
    origin = ("https", "127.0.0.1", server.port)
    stream = connector.open_stream(origin, connect_seconds=30, timeout_seconds=30, offers_http2=offers_http2)
    assert isinstance(stream, TlsStream | NestedTlsStream)
    stream.send(b"x")
    received = b""
    while not received:
        with contextlib.suppress(TimeoutError):
            received = stream.receive(1)
    assert received == b"x"
    return stream.tls.session_reused is True


@pytest.mark.parametrize("version", TLS_VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("kinds", [(False, False), (True, False), (False, True)], ids=["http/1.1 twice", "h2 offered first", "h2 offered later"])
def test_later_connection_resumes_the_session(kinds, version, echo, authority):
    """Whichever protocols the two connections offer."""
    echo.context.maximum_version = version
    connector = connecting(trusting(authority), echo)

    assert [resumes(connector, echo, offers_http2=offers) for offers in kinds] == [False, True]


def test_session_is_resumed_through_a_proxy(echo, authority):
    """The session is the server's, not the proxy's."""
    with Tunnel(tls=certified(authority)) as tunnel:
        connector = connecting(trusting(authority), echo, proxy=tunnel.url)

        assert [resumes(connector, echo) for _ in range(3)] == [False, True, True]


@pytest.mark.row("AUTH-26")
def test_session_is_of_one_server(echo, authority):
    """Another server gets a full handshake, in which its certificate is checked."""
    with Echo(certified(trustme.CA())) as other:
        connector = connecting(trusting(authority), echo, other)

        assert not resumes(connector, echo)
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            resumes(connector, other)


@pytest.mark.row("NET-16")
def test_session_ends_with_its_certificate(authority):
    """A resumed handshake does not check the dates, so an expired certificate is not resumed."""
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    with Echo(certified(authority, not_after=soon)) as server:
        connector = connecting(trusting(authority), server)
        assert [resumes(connector, server) for _ in range(2)] == [False, True]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("imgsync.oci.http.tls_sessions.time.time", lambda: soon.timestamp() + 1)

            assert not resumes(connector, server)


@pytest.mark.parametrize("version", TLS_VERSIONS, ids=lambda version: version.name)
def test_server_that_forgot_the_session(version, echo, authority):
    """After its restart the handshake is a full one."""
    echo.context.maximum_version = version
    connector = connecting(trusting(authority), echo)
    assert not resumes(connector, echo)
    echo.context = certified(authority)

    assert [resumes(connector, echo) for _ in range(2)] == [False, True]


def test_server_without_sessions(echo, authority):
    """Each handshake is a full one."""
    echo.context.num_tickets = 0
    connector = connecting(trusting(authority), echo)

    assert [resumes(connector, echo) for _ in range(3)] == [False, False, False]
