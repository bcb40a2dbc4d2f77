"""Resolve host names once for many connections."""

from __future__ import annotations

import socket
import threading
import time

from imgsync.oci.http._httpx import httpx

# Dozens of connections to one host are opened at the same time.
_KEEP_SECONDS = 30.0
# When a lookup ended, and its addresses or its error.
_Lookup = tuple[float, list[str] | httpx.ConnectError]


class Resolver:
    """Resolves host names and keeps the addresses for 30 seconds."""

    def __init__(self) -> None:
        """Start empty."""
        self._lookups: dict[tuple[str, int], _Lookup] = {}
        self._locks: dict[tuple[str, int], threading.Lock] = {}

    def resolve(self, host: str, port: int) -> list[str]:
        """
        Return the addresses of *host*; the caller may reorder them.

        Concurrent callers share one lookup. An error is not kept for later callers.

        Raises:
            httpx.ConnectError: The name cannot be resolved.
        """
        arrived = time.monotonic()
        with self._locks.setdefault((host, port), threading.Lock()):
            known = self._lookups.get((host, port))
            if known is None or arrived - known[0] > (0.0 if isinstance(known[1], httpx.ConnectError) else _KEEP_SECONDS):
                known = self._lookups[host, port] = _look_up(host, port)
        if isinstance(known[1], httpx.ConnectError):
            # A new error for each caller: one that is raised again and again collects tracebacks.
            raise httpx.ConnectError(str(known[1]))
        return known[1]

    def forget(self, host: str, port: int) -> None:
        """Resolve *host* again next time."""
        self._lookups.pop((host, port), None)


def _look_up(host: str, port: int) -> _Lookup:
    try:
        found: list[str] | httpx.ConnectError = _resolve(host, port)
    except httpx.ConnectError as error:
        found = error
    return time.monotonic(), found


def _resolve(host: str, port: int) -> list[str]:
    try:
        # gevent resolves in a thread that prints unexpected errors, so find an invalid name here.
        host.encode("idna")
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpx.ConnectError(f"{host} cannot be resolved: {error.strerror or error}") from error
    except UnicodeError as error:
        raise httpx.ConnectError(f"{host[:100]!r} is not a valid host name") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
