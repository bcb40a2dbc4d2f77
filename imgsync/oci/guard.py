"""
Where connections may go: a registry at a public address may not lead us to a private one.

Names are resolved once, every address checked, and the checked address dialled, so that no second answer of a name
server can move the connection (DNS rebinding). Spec: design.md §7.8.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

import httpcore


class GuardedBackend(httpcore.SyncBackend):
    """A network backend that dials *own* hosts freely and any other only where `own` could have led us."""

    def __init__(self, own: Iterable[tuple[str, int]]) -> None:
        """Guard connections on behalf of *own*: (host, port) pairs the operator named, the registry first."""
        self._own = tuple(own)
        self._public: bool | None = None

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None, socket_options: Any = None
    ) -> httpcore.NetworkStream:
        """
        Connect to *host*, one address after the other.

        Raises:
            httpcore.ConnectError: No address answers, or none may be dialled.
        """
        addresses = _resolve(host, port)
        if (host, port) == self._own[0]:
            self._public = all(_is_public(address) for address in addresses)
        elif (host, port) not in self._own:
            self._refuse_private(host, addresses)
        last: httpcore.ConnectError | httpcore.ConnectTimeout = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last

    def _refuse_private(self, host: str, addresses: list[str]) -> None:
        if self._public is None:
            self._public = all(_is_public(address) for address in _resolve(*self._own[0]))
        private = [address for address in addresses if not _is_public(address)]
        if self._public and private:
            raise httpcore.ConnectError(f"refused to follow a public registry to {host} at the private address {private[0]}")


def _resolve(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(f"{host} cannot be resolved: {error.strerror or error}") from error
    except UnicodeError as error:
        raise httpcore.ConnectError(f"{host[:100]!r} is no host name") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_global)
