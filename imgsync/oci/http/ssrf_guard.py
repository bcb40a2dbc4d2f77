"""
Stop public servers from sending the client to private addresses.

Names are resolved once, each address is checked, and the checked address is used to connect. So DNS rebinding cannot move the connection.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.errors import ForbiddenAddressError
from imgsync.oci.http.resolver import Resolver

# Metadata services of clouds give credentials to any process of the machine. All others have link-local addresses.
_METADATA = {ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200")}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ONE_OF_SEVERAL_SECONDS = 5.0


class SsrfGuard:
    """Connects to trusted hosts, and to others if their addresses are allowed."""

    def __init__(self, trusted: Iterable[tuple[str, int]]) -> None:
        """
        Guard the connections of one client.

        Args:
            trusted: (host, port) pairs that are not checked. If the first one is public, no other host may be private.
        """
        self._trusted = tuple(trusted)
        self._is_public = False
        self._resolver = Resolver()

    def connect(self, host: str, port: int, timeout_seconds: float | None = None) -> socket.socket:
        """
        Connect to one of the addresses of *host*.

        They are tried in turn, the one that worked last time first.

        Args:
            host: A name or an address.
            port: The TCP port.
            timeout_seconds: The time for each address; at most 5 if there are several.

        Raises:
            ForbiddenAddressError: An address of an untrusted host is not allowed.
            httpx.ConnectError: No address answers, or there is none.
            httpx.ConnectTimeout: The last address did not answer in time.
        """
        addresses = self._resolve(host, port)
        if (host, port) not in self._trusted:
            self._check(host, addresses)
        if len(addresses) > 1:
            timeout_seconds = min(timeout_seconds or _ONE_OF_SEVERAL_SECONDS, _ONE_OF_SEVERAL_SECONDS)
        last: httpx.TransportError = httpx.ConnectError(f"{host} has no address")
        for address in list(addresses):
            try:
                connected = socket.create_connection((address, port), timeout_seconds)
            except TimeoutError as error:
                last = httpx.ConnectTimeout(str(error))
            except OSError as error:
                last = httpx.ConnectError(str(error))
            else:
                addresses.remove(address)
                addresses.insert(0, address)
                return connected
        self._resolver.forget(host, port)
        raise last

    def _resolve(self, host: str, port: int) -> list[str]:
        addresses = self._resolver.resolve(host, port)
        if (host, port) == self._trusted[0]:
            # It stays public, even if only one of its addresses is: otherwise its name server could add a private one and lift the check.
            self._is_public = self._is_public or any(map(_is_public, addresses))
        return addresses

    def _check(self, host: str, addresses: list[str]) -> None:
        if forbidden := [address for address in addresses if _is_metadata(address)]:
            raise ForbiddenAddressError(f"{host} is at {forbidden[0]}, the address of a cloud metadata service")
        self._resolve(*self._trusted[0])
        private = [address for address in addresses if not _is_public(address)]
        if self._is_public and private:
            raise ForbiddenAddressError(f"{host} is at the private address {private[0]}, while {self._trusted[0][0]} is public")


def _is_public(address: str) -> bool:
    return bool(_unwrap(address).is_global)


def _is_metadata(address: str) -> bool:
    return _unwrap(address).is_link_local or _unwrap(address) in _METADATA


def _unwrap(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address that an IPv6 address wraps, or the address."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv4Address):
        return parsed
    return parsed.ipv4_mapped or parsed.sixtofour or (ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF) if parsed in _NAT64 else parsed)
