"""Where connections may go: what a name server answers is faked, for loopback has no public addresses."""

from __future__ import annotations

import socket

import httpx
import pytest

from imgsync.oci.guard import Guard

NAMES = {
    "public.example": ["93.184.216.34"],
    "cdn.example": ["93.184.216.35"],
    "inside.example": ["10.0.0.5"],
    "metadata.example": ["169.254.169.254"],
    "mixed.example": ["93.184.216.36", "127.0.0.1"],
    "mapped.example": ["::ffff:10.0.0.5"],
    "private.example": ["10.0.0.1"],
}


@pytest.fixture
def dialled(monkeypatch):
    """What was dialled in the end; names resolve as NAMES says, addresses to themselves."""
    addresses: list[str] = []

    def resolve(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in NAMES.get(host, [host])]

    def connect(address, *_):
        addresses.append(address[0])
        return object()

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    return addresses


@pytest.mark.parametrize("host", ["inside.example", "metadata.example", "mixed.example", "mapped.example", "127.0.0.1", "::1", "169.254.169.254", "0.0.0.0"])
def test_public_registry_leads_to_no_private_address(host, dialled):
    """Neither by name nor by number, not even when one of several addresses is public; nothing is dialled."""
    backend = Guard([("public.example", 443)])

    with pytest.raises(httpx.ConnectError, match="refused to follow a public registry"):
        backend.dial(host, 443)
    assert dialled == []


def test_public_registry_leads_to_its_public_blobs(dialled):
    """The address that was checked is the one dialled, so a second answer of the name server moves nothing."""
    Guard([("public.example", 443)]).dial("cdn.example", 443)

    assert dialled == ["93.184.216.35"]


def test_private_registry_leads_where_it_likes(dialled):
    """A registry that is itself private, and whatever the operator named beside it, is not guarded."""
    Guard([("private.example", 443)]).dial("inside.example", 443)
    Guard([("public.example", 443), ("inside.example", 8443)]).dial("inside.example", 8443)

    assert dialled == ["10.0.0.5", "10.0.0.5"]


def test_named_port_is_all_that_is_trusted(dialled):
    """Another port of a private token server that was named is another host."""
    backend = Guard([("public.example", 443), ("inside.example", 8443)])

    with pytest.raises(httpx.ConnectError, match="refused"):
        backend.dial("inside.example", 22)


@pytest.mark.row("NET-15")
def test_dead_address_of_several_costs_five_seconds_once(monkeypatch):
    """Of two addresses the first is dead: it gets five seconds and no more, and the next connection begins with the one that answered."""
    dialled: list[tuple[str, float]] = []

    def connect(address, seconds):
        dialled.append((address[0], seconds))
        if address[0] == "10.0.0.1":
            raise TimeoutError
        return object()

    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: [(2, 1, 6, "", (one, port)) for one in ("10.0.0.1", "10.0.0.2")])
    monkeypatch.setattr(socket, "create_connection", connect)
    guard = Guard([("two.example", 443)])

    guard.dial("two.example", 443, 10.0)
    guard.dial("two.example", 443, 10.0)

    assert dialled == [("10.0.0.1", 5.0), ("10.0.0.2", 5.0), ("10.0.0.2", 5.0)]


@pytest.mark.row("NET-15")
def test_name_that_does_not_resolve_is_told(monkeypatch):
    """What the name server says is in the error."""

    def resolve(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    with pytest.raises(httpx.ConnectError, match=r"^gone\.example cannot be resolved: Name or service not known$"):
        Guard([("gone.example", 443)]).dial("gone.example", 443, 10.0)
