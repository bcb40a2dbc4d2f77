"""
Where connections may go: a registry at a public address may not lead us to a private one.

Names are resolved once, every address checked, and the checked address dialled, so that no second answer of a name
server can move the connection (DNS rebinding). Spec: design.md §7.8.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterable

from imgsync.oci.http._httpx import httpx

# What a lookup came to, an address or none, and when.
_Found = tuple[float, list[str] | httpx.ConnectError]
# What was resolved is dialled for so long without asking again: side by side, dozens of connections are opened to one name.
_KEPT_SECONDS = 30.0
# Where clouds tell a machine, and whoever can make it ask, who it is: nobody's registry leads there. The rest of them are link-local.
_METADATA = {ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200")}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ONE_OF_SEVERAL_SECONDS = 5.0


class SsrfGuard:
    """Dials *own* hosts freely and any other only where `own` could have led us."""

    def __init__(self, own: Iterable[tuple[str, int]]) -> None:
        """Guard connections on behalf of *own*: (host, port) pairs the operator named, the registry first."""
        self._own = tuple(own)
        self._public = False
        self._resolved: dict[tuple[str, int], _Found] = {}
        self._resolving: dict[tuple[str, int], threading.Lock] = {}

    def dial(self, host: str, port: int, seconds: float | None = None) -> socket.socket:
        """
        Connect to *host*, one address after the other, the one that answered last time first.

        Each is given so many *seconds*, but where there are several no more than five.

        Raises:
            httpx.ConnectError: No address answers, or none may be dialled.
            httpx.ConnectTimeout: The last address did not answer in time.
        """
        addresses = self._addresses(host, port)
        if (host, port) not in self._own:
            self._refuse_private(host, addresses)
        last: httpx.TransportError = httpx.ConnectError(f"{host} has no address")
        if len(addresses) > 1:
            seconds = min(seconds or _ONE_OF_SEVERAL_SECONDS, _ONE_OF_SEVERAL_SECONDS)
        for address in list(addresses):
            try:
                dialled = socket.create_connection((address, port), seconds)
            except TimeoutError as error:
                last = httpx.ConnectTimeout(str(error))
            except OSError as error:
                last = httpx.ConnectError(str(error))
            else:
                addresses.remove(address)
                addresses.insert(0, address)
                return dialled
        self._resolved.pop((host, port), None)
        raise last

    def _addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of *host*, asked for anew after half a minute, or when none answered; who comes meanwhile waits for the same answer."""
        came = time.monotonic()
        with self._resolving.setdefault((host, port), threading.Lock()):
            known = self._resolved.get((host, port))
            if known is None or came - known[0] > (0.0 if isinstance(known[1], httpx.ConnectError) else _KEPT_SECONDS):
                known = self._resolved[host, port] = _looked_up(host, port)
                # Once public, always so, and by one address of several: else a name server could add a private one, and open the way.
                self._public |= (host, port) == self._own[0] and not isinstance(known[1], httpx.ConnectError) and any(map(_is_public, known[1]))
        if isinstance(known[1], httpx.ConnectError):
            # Of its own for each: one that is raised again and again would gather tracebacks.
            raise httpx.ConnectError(str(known[1]))
        return known[1]

    def _refuse_private(self, host: str, addresses: list[str]) -> None:
        if forbidden := [address for address in addresses if _is_metadata(address)]:
            raise httpx.ConnectError(f"refused to follow a registry to {host} at {forbidden[0]}, where machines are told who they are")
        self._addresses(*self._own[0])
        private = [address for address in addresses if not _is_public(address)]
        if self._public and private:
            raise httpx.ConnectError(f"refused to follow a public registry to {host} at the private address {private[0]}")


def _looked_up(host: str, port: int) -> _Found:
    try:
        found: list[str] | httpx.ConnectError = _resolve(host, port)
    except httpx.ConnectError as error:
        found = error
    return time.monotonic(), found


def _resolve(host: str, port: int) -> list[str]:
    try:
        # gevent asks in a thread, and prints there what it does not expect.
        host.encode("idna")
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpx.ConnectError(f"{host} cannot be resolved: {error.strerror or error}") from error
    except UnicodeError as error:
        raise httpx.ConnectError(f"{host[:100]!r} is no host name") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_public(address: str) -> bool:
    return bool(_plain(address).is_global)


def _is_metadata(address: str) -> bool:
    return _plain(address).is_link_local or _plain(address) in _METADATA


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return *address*, an IPv4 address that is wrapped in an IPv6 one by itself."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv4Address):
        return parsed
    return parsed.ipv4_mapped or parsed.sixtofour or (ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF) if parsed in _NAT64 else parsed)
