"""
Stop public servers from sending the client to private addresses.

Names are resolved once, each address is checked, and the checked address is used to connect. So DNS rebinding cannot move the connection.
A proxy resolves names itself, so behind one only hosts that are written as addresses can be checked.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from itertools import islice

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.addresses import find_literal, is_metadata, is_public
from imgsync.oci.http.connect import connect
from imgsync.oci.http.errors import ForbiddenAddressError, RefusedError
from imgsync.oci.http.resolver import Resolver
from imgsync.oci.http.wait_limit import WaitLimit, limit_wait, never_end

Host = tuple[str, int]

_CONNECT_SECONDS = 10.0
_ONE_OF_SEVERAL_SECONDS = 5.0
# A name server could send thousands of dead ones.
_ADDRESS_LIMIT = 8


class SsrfGuard:
    """Connects to trusted hosts, and to others if their addresses are allowed."""

    def __init__(self, trusted: Iterable[Host], *, resolver: Resolver | None = None, proxy: Host | None = None) -> None:
        """
        Guard the connections of one client.

        Args:
            trusted: (host, port) pairs. If the first one is public, no other host may be private. One that was public must stay so.
            resolver: Resolves names, and remembers which trusted hosts were public; one for the whole run.
            proxy: The proxy that every connection goes to, and that resolves the other names.
        """
        self._trusted = tuple(trusted)
        self._resolver = resolver or Resolver()
        self._proxy = proxy

    def connect(self, host: str, port: int, timeout_seconds: float = _CONNECT_SECONDS, *, check: Callable[[], None] = never_end) -> socket.socket:
        """
        Connect to one of the addresses of *host*, or to the proxy.

        They are tried in turn, the one that worked last time first.

        Args:
            host: A name or an address.
            port: The TCP port.
            timeout_seconds: The time for the name server, and for each address; at most 5 for each of several.
            check: Called while waiting; an error that it raises ends the wait.

        Raises:
            ForbiddenAddressError: An address of the host is not allowed.
            UnknownHostError: There is no such host.
            httpx.ConnectError: No address answers, or there is none.
            httpx.ConnectTimeout: The name server or the last address did not answer in time.
        """
        limit = limit_wait(timeout_seconds, check)
        addresses = self._find_addresses((host, port), limit)
        allowed = self._check_trusted(host, addresses) if (host, port) in self._trusted else self._check_other(host, addresses, limit)
        if self._proxy is not None:
            host, port = self._proxy
            addresses = allowed = self._resolver.resolve(host, port, limit)
        seconds = timeout_seconds if len(allowed) == 1 else min(timeout_seconds, _ONE_OF_SEVERAL_SECONDS)
        last: httpx.TransportError = httpx.ConnectError(f"{host} has no address")
        for address in list(islice(allowed, _ADDRESS_LIMIT)):
            try:
                connected = connect(address, port, limit_wait(seconds, check))
            except TimeoutError as error:
                last = httpx.ConnectTimeout(f"{host} did not answer in time")
                last.__cause__ = error
            except ConnectionRefusedError as error:
                last = RefusedError(f"nothing listens at {address}:{port} ({error.strerror})")
            except OSError as error:
                last = httpx.ConnectError(f"{address}:{port}: {error.strerror}")
            else:
                addresses.remove(address)
                addresses.insert(0, address)
                return connected
        self._resolver.forget(host, port)
        raise last

    def _find_addresses(self, host: Host, limit: WaitLimit) -> list[str]:
        """Return the known addresses of *host*; a proxy resolves names itself."""
        if self._proxy is None:
            return self._resolver.resolve(*host, limit)
        literal = find_literal(host[0])
        return [] if literal is None else [literal]

    def _check_trusted(self, host: str, addresses: list[str]) -> list[str]:
        """Return the addresses to use: only public ones once there was one."""
        public = [address for address in addresses if is_public(address)]
        if public:
            self._resolver.public_hosts.add(host)
        if host not in self._resolver.public_hosts:
            return addresses
        if not public and addresses:
            raise ForbiddenAddressError(f"{host} was at a public address, and is now at the private address {addresses[0]}")
        return public

    def _check_other(self, host: str, addresses: list[str], limit: WaitLimit) -> list[str]:
        if forbidden := [address for address in addresses if is_metadata(address)]:
            raise ForbiddenAddressError(f"{host} is at {forbidden[0]}, the address of a cloud metadata service")
        private = [address for address in addresses if not is_public(address)]
        # Known addresses of the registry are read again only if that matters.
        if private and self._is_registry_public(limit):
            raise ForbiddenAddressError(f"{host} is at the private address {private[0]}, while {self._trusted[0][0]} is public")
        return addresses

    def _is_registry_public(self, limit: WaitLimit) -> bool:
        """Return whether the first trusted host is public, or ever was."""
        registry = self._trusted[0]
        addresses = self._find_addresses(registry, limit)
        if self._proxy is not None:
            # A name behind a proxy could be either, so it counts as public.
            return not addresses or is_public(addresses[0])
        # It stays public, even if only one of its addresses is: otherwise its name server could add a private one and lift the check.
        if any(map(is_public, addresses)):
            self._resolver.public_hosts.add(registry[0])
        return registry[0] in self._resolver.public_hosts
