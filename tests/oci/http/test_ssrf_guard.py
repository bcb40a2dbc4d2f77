"""Where connections may go; name servers are faked."""

from __future__ import annotations

import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from imgsync.config.model import RegistriesConfig, RegistrySettings
from imgsync.errors import InsecureError
from imgsync.oci.http import resolver as resolver_module
from imgsync.oci.http import ssrf_guard as guard_module
from imgsync.oci.http.errors import ForbiddenAddressError, UnknownHostError
from imgsync.oci.http.resolver import Resolver
from imgsync.oci.http.ssrf_guard import SsrfGuard
from imgsync.oci.http.wait_limit import limit_wait, never_end
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.registries.clients import Registries
from imgsync.text.redaction import Redaction
from tests.support.faults import FaultProxy

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
    """Record what was dialled; names resolve as NAMES says."""
    addresses: list[str] = []

    numbers = socket.getaddrinfo

    def resolve(host, port, **more):
        if host not in NAMES:
            return numbers(host, port, **more, flags=socket.AI_NUMERICHOST)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in NAMES[host]]

    def connect(address, *_):
        addresses.append(address)
        return object()

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(guard_module, "connect", connect)
    return addresses


@pytest.mark.row("AUTH-04", "AUTH-05")
@pytest.mark.parametrize(
    "host",
    [
        "inside.example",
        "metadata.example",
        "mixed.example",
        "mapped.example",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fe80::1%lo",
        "169.254.169.254",
        "0.0.0.0",
        "100.100.100.200",
    ],
)
def test_public_registry_leads_to_no_private_address(host, dialled):
    """Neither by name nor by number, even if one of several addresses is public."""
    backend = SsrfGuard([("public.example", 443)])

    with pytest.raises(ForbiddenAddressError, match=f"^{re.escape(host)} is at "):
        backend.connect(host, 443)
    assert dialled == []


@pytest.mark.row("AUTH-05")
def test_public_registry_leads_to_its_public_blobs(dialled, monkeypatch):
    """The checked address is the one dialled; a later lookup is checked again."""
    guard = SsrfGuard([("public.example", 443)])
    guard.connect("cdn.example", 443)
    monkeypatch.setitem(NAMES, "cdn.example", ["127.0.0.1"])
    guard.connect("cdn.example", 443)
    assert dialled == ["93.184.216.35"] * 2

    monkeypatch.setattr(resolver_module, "_KEEP_SECONDS", -1)
    with pytest.raises(ForbiddenAddressError, match=r"^cdn\.example is at the private address 127\.0\.0\.1, while public\.example is public$"):
        guard.connect("cdn.example", 443)
    assert dialled == ["93.184.216.35"] * 2


@pytest.mark.row("AUTH-05")
@pytest.mark.parametrize("addresses", [["93.184.216.34", "127.0.0.1"], ["127.0.0.1"]], ids=["one of two", "all of them later"])
def test_registry_that_adds_a_private_address_stays_public(addresses, dialled, monkeypatch):
    """Its own name server chooses the addresses."""
    guard = SsrfGuard([("public.example", 443)])
    guard.connect("public.example", 443)
    dialled.clear()
    monkeypatch.setattr(resolver_module, "_KEEP_SECONDS", -1)
    monkeypatch.setitem(NAMES, "public.example", addresses)

    with pytest.raises(ForbiddenAddressError, match="private address"):
        guard.connect("inside.example", 443)
    with pytest.raises(ForbiddenAddressError, match="private address"):
        (SsrfGuard([("public.example", 443)]) if len(addresses) > 1 else guard).connect("inside.example", 443)
    assert dialled == []


@pytest.mark.row("AUTH-04")
@pytest.mark.parametrize("host", ["169.254.169.254", "metadata.example", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"])
def test_metadata_services_are_never_reached(host, dialled):
    """Except by a registry that itself has such an address."""
    with pytest.raises(ForbiddenAddressError, match="cloud metadata service"):
        SsrfGuard([("private.example", 443)]).connect(host, 80)
    assert dialled == []

    SsrfGuard([("169.254.7.7", 5000)]).connect("169.254.7.7", 5000)
    assert dialled == ["169.254.7.7"]


def test_private_registry_is_not_guarded(dialled):
    """Neither are hosts that the operator declared."""
    SsrfGuard([("private.example", 443)]).connect("inside.example", 443)
    SsrfGuard([("public.example", 443), ("inside.example", 8443)]).connect("inside.example", 8443)

    assert dialled == ["10.0.0.5", "10.0.0.5"]


def test_declared_port_is_the_only_trusted_one(dialled):
    """Another port of a declared token server is another host."""
    backend = SsrfGuard([("public.example", 443), ("inside.example", 8443)])

    with pytest.raises(ForbiddenAddressError):
        backend.connect("inside.example", 22)


@pytest.mark.row("AUTH-04")
@pytest.mark.parametrize("named", [False, True], ids=["by the registry", "by the operator"])
def test_api_of_a_public_registry_is_not_private(named, dialled):
    """Unless the operator declares its address."""
    url = "https://inside.example"
    registry_settings = RegistriesConfig({"public.example": RegistrySettings(listing="gitlab", listing_url=url if named else None)})
    with Registries(
        registry_settings, environ={}, pushes=False, on_retry=print, redaction=Redaction(), on_warning=print, on_registry_warning=print
    ) as registries:
        client = registries.make_client("public.example", "source", RetryPolicy(attempts=1, interval_seconds=0, request_seconds=5))
        api = registries.make_api(client, "" if named else url)

        # What was dialled here is no socket: no further than that.
        with pytest.raises(AttributeError if named else InsecureError):
            api.get(api.make_operation("list repositories of", "a"), "/api/v4/groups/a")

    assert dialled == (["10.0.0.5"] if named else [])


@pytest.mark.row("NET-15")
def test_dead_address_of_several_costs_five_seconds_once(monkeypatch):
    """The next connection starts with the address that answered."""
    dialled: list[tuple[str, float]] = []

    def connect(address, _, limit):
        dialled.append((address, round(limit.left_seconds)))
        if address == "10.0.0.1":
            raise TimeoutError
        return object()

    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: [(2, 1, 6, "", (one, port)) for one in ("10.0.0.1", "10.0.0.2")])
    monkeypatch.setattr(guard_module, "connect", connect)
    guard = SsrfGuard([("two.example", 443)])

    guard.connect("two.example", 443, 10.0)
    guard.connect("two.example", 443, 10.0)

    assert dialled == [("10.0.0.1", 5), ("10.0.0.2", 5), ("10.0.0.2", 5)]


@pytest.mark.row("NET-15")
@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (socket.EAI_NONAME, UnknownHostError, "there is no host gone.example (no answer)"),
        (socket.EAI_NODATA, UnknownHostError, "there is no host gone.example (no answer)"),
        (socket.EAI_AGAIN, httpx.ConnectError, "gone.example cannot be resolved: no answer"),
        (socket.EAI_FAIL, httpx.ConnectError, "gone.example cannot be resolved: no answer"),
    ],
)
def test_unresolvable_name_is_an_error(code, kind, said, monkeypatch):
    """It quotes the name server, whose final answer is another error than none."""

    def resolve(*_, **__):
        raise socket.gaierror(code, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    with pytest.raises(httpx.ConnectError) as caught:
        SsrfGuard([("gone.example", 443)]).connect("gone.example", 443, 10.0)

    assert (type(caught.value), str(caught.value)) == (kind, said)


@pytest.fixture
def sockets(monkeypatch):
    """Give each name three refusing addresses; record time, lookups and dials."""
    told: tuple[list[float], list[str], list[tuple[str, float]]] = ([0.0], [], [])
    clock, asked, dialled = told

    def resolve(host, port, **_):
        asked.append(host)
        return [(2, 1, 6, "", (one, port)) for one in ("93.184.216.1", "93.184.216.2", "93.184.216.3")]

    def refuse(address, _, limit):
        dialled.append((address, limit.left_seconds))
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(resolver_module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(guard_module, "connect", refuse)
    return told


@pytest.mark.row("NET-15")
def test_every_address_is_tried_before_a_host_is_given_up(sockets):
    """One after the other; then the name is looked up again."""
    _, asked, dialled = sockets
    guard = SsrfGuard([("three.example", 443)])

    for _ in range(2):
        with pytest.raises(httpx.ConnectError, match="Connection refused"):
            guard.connect("three.example", 443)

    assert dialled == [("93.184.216.1", 5.0), ("93.184.216.2", 5.0), ("93.184.216.3", 5.0)] * 2
    assert asked == ["three.example"] * 2


@pytest.mark.row("NET-15")
def test_address_that_answers_comes_first_from_then_on(sockets, monkeypatch):
    """The others keep their order."""
    _, _, dialled = sockets
    refuse = guard_module.connect
    monkeypatch.setattr(guard_module, "connect", lambda address, *more: object() if address.endswith(".3") else refuse(address, *more))
    guard = SsrfGuard([("three.example", 443)])
    guard.connect("three.example", 443, 2.0)
    monkeypatch.setattr(guard_module, "connect", refuse)
    dialled.clear()

    with pytest.raises(httpx.ConnectError):
        guard.connect("three.example", 443, 2.0)

    assert dialled == [("93.184.216.3", 2.0), ("93.184.216.1", 2.0), ("93.184.216.2", 2.0)]


@pytest.mark.row("NET-15")
def test_single_address_has_the_whole_timeout(dialled, monkeypatch):
    """It is the only one to try."""
    limits = []
    monkeypatch.setattr(guard_module, "connect", lambda *more: limits.append(round(more[-1].left_seconds)))

    SsrfGuard([("public.example", 443)]).connect("public.example", 443, 8.0)
    SsrfGuard([("public.example", 443)]).connect("public.example", 443)

    assert limits == [8, 10]


@pytest.mark.row("AUTH-05")
def test_addresses_are_kept_for_half_a_minute(sockets, monkeypatch):
    """Then the name is looked up again."""
    clock, asked, _ = sockets
    monkeypatch.setattr(guard_module, "connect", lambda *_: object())
    guard = SsrfGuard([("three.example", 443)])

    lookups = []
    for moment in (0.0, 30.0, 30.5, 60.5, 61.0):
        clock[0] = moment
        guard.connect("three.example", 443)
        lookups.append(len(asked))

    assert lookups == [1, 1, 2, 2, 3]


@pytest.mark.row("NET-15")
def test_failed_lookup_is_not_cached(sockets, monkeypatch):
    """Only callers that waited for it share the failure."""
    clock, asked, _ = sockets

    def fail(host, *_, **__):
        asked.append(host)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    guard = SsrfGuard([("gone.example", 443)])

    # Nobody comes later as long as the clock stands.
    for moment in (0.0, 0.0, 0.5):
        clock[0] = moment
        with pytest.raises(httpx.ConnectError, match="Temporary failure"):
            guard._resolver.resolve("gone.example", 443, limit_wait(10, never_end))

    assert asked == ["gone.example"] * 2


@pytest.mark.row("RUN-07")
@pytest.mark.parametrize("host", ["a..b", "x" * 200 + ".example", "\udcff.example"])
def test_impossible_name_is_an_error(host):
    """It shows the first hundred letters."""
    with pytest.raises(httpx.ConnectError) as caught:
        SsrfGuard([(host, 443)]).connect(host, 443)

    assert str(caught.value) == f"{host[:100]!r} is not a valid host name"


@pytest.mark.row("AUTH-04", "AUTH-05")
@pytest.mark.parametrize(
    ("own", "leads"),
    [(("a.example", 443), ("public.example", 443)), (("z.example", 443), ("public.example", 443)), (("public.example", 443), ("public.example", 8443))],
    ids=["sorts before", "sorts behind", "another port"],
)
def test_registry_is_public_by_its_own_addresses(own, leads, dialled, monkeypatch):
    """A private registry stays private, even if it leads to public hosts."""
    monkeypatch.setitem(NAMES, own[0], ["10.0.0.9"])
    guard = SsrfGuard([own])
    monkeypatch.setitem(NAMES, leads[0], ["93.184.216.34"] if leads[0] != own[0] else ["10.0.0.9"])

    guard.connect(*leads)
    guard.connect("inside.example", 443)

    assert dialled[-1] == "10.0.0.5"


@pytest.mark.row("AUTH-04")
def test_refusal_shows_the_address(dialled, monkeypatch):
    """The first refused one."""
    monkeypatch.setitem(NAMES, "cdn.example", ["93.184.216.35", "10.0.0.7", "10.0.0.8"])
    with pytest.raises(ForbiddenAddressError, match=r"private address 10\.0\.0\.7, "):
        SsrfGuard([("public.example", 443)]).connect("cdn.example", 443)

    monkeypatch.setitem(NAMES, "cdn.example", ["93.184.216.35", "169.254.1.1", "169.254.1.2"])
    with pytest.raises(ForbiddenAddressError, match=r"at 169\.254\.1\.1, the address of a cloud metadata service$"):
        SsrfGuard([("public.example", 443)]).connect("cdn.example", 443)


@pytest.mark.row("AUTH-04")
def test_embedded_ipv4_address_is_read_whole(dialled):
    """`64:ff9b::/96` holds an IPv4 address; its last bit counts."""
    SsrfGuard([("private.example", 443)]).connect("64:ff9b::6464:64c9", 443)  # 100.100.100.201
    with pytest.raises(ForbiddenAddressError, match="cloud metadata service"):
        SsrfGuard([("private.example", 443)]).connect("64:ff9b::6464:64c8", 443)


@pytest.mark.row("RUN-15")
@pytest.mark.parametrize("fails", [False, True], ids=["answers", "fails"])
def test_parallel_connections_share_one_lookup(fails, monkeypatch):
    """64 connections wait for one lookup and its result."""
    slow, waiting, asked = threading.Event(), threading.Semaphore(0), []
    with FaultProxy(None) as server:

        def look_up(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
            if host != "registry.example":
                return [(2, 1, 6, "", (host, port))]
            asked.append(host)
            assert slow.wait(30)
            if fails:
                raise OSError("no such name")
            return [(2, 1, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr("imgsync.oci.http.resolver.socket.getaddrinfo", look_up)
        guard = SsrfGuard([("registry.example", server.port)])

        def dial() -> str:
            waiting.release()
            try:
                guard.connect("registry.example", server.port, 10).close()
            except Exception as error:  # noqa: BLE001 - what it comes to is what is tested
                return str(error)
            return "connected"

        with ThreadPoolExecutor(64) as pool:
            dials = [pool.submit(dial) for _ in range(64)]
            for _ in dials:
                assert waiting.acquire(timeout=30)
            slow.set()
            results = {one.result(30) for one in dials}

    assert asked == ["registry.example"]
    assert results == {"registry.example cannot be resolved: no such name" if fails else "connected"}


@pytest.mark.row("AUTH-27")
def test_registry_that_was_public_is_not_followed_inside(dialled, monkeypatch):
    """Its name server would lead the credentials, and requests, to a machine inside."""
    resolver = Resolver()
    SsrfGuard([("public.example", 443)], resolver=resolver).connect("public.example", 443)
    monkeypatch.setattr(resolver_module, "_KEEP_SECONDS", -1)

    monkeypatch.setitem(NAMES, "public.example", ["10.0.0.5", "93.184.216.34"])
    SsrfGuard([("public.example", 443)], resolver=resolver).connect("public.example", 443)
    monkeypatch.setitem(NAMES, "public.example", ["10.0.0.5"])
    with pytest.raises(ForbiddenAddressError, match=r"^public\.example was at a public address, and is now at the private address 10\.0\.0\.5$"):
        SsrfGuard([("public.example", 443)], resolver=resolver).connect("public.example", 443)

    assert dialled == ["93.184.216.34"] * 2


@pytest.mark.row("AUTH-27")
def test_registry_that_was_private_may_become_public(dialled, monkeypatch):
    """A private registry may move, also to other private addresses."""
    monkeypatch.setattr(resolver_module, "_KEEP_SECONDS", -1)
    guard = SsrfGuard([("private.example", 443)])
    for address in ("10.0.0.1", "10.0.0.2", "93.184.216.34"):
        monkeypatch.setitem(NAMES, "private.example", [address])
        guard.connect("private.example", 443)

    assert dialled == ["10.0.0.1", "10.0.0.2", "93.184.216.34"]


def test_thousands_of_dead_addresses_are_not_all_tried(sockets, monkeypatch):
    """Eight are enough."""
    dialled = sockets[2]
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: [(2, 1, 6, "", (f"93.184.{n // 250}.{n % 250}", port)) for n in range(5000)])

    with pytest.raises(httpx.ConnectError):
        SsrfGuard([("many.example", 443)]).connect("many.example", 443)

    assert len(dialled) == 8
