"""Resolve host names once for many connections."""

from __future__ import annotations

import socket
import threading
import time

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.errors import UnknownHostError
from imgsync.oci.http.wait_limit import WaitLimit, await_event

# Dozens of connections to one host are opened at the same time.
_KEEP_SECONDS = 30.0
# A name server's final answer. Others, such as EAI_AGAIN, mean that it could not say.
_UNKNOWN = {socket.EAI_NONAME, socket.EAI_NODATA}


class _Lookup:
    """One lookup of a name, running or ended."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._ended = 0.0
        self.done = threading.Event()
        self.addresses: list[str] = []
        self.error: httpx.ConnectError | None = None
        # Apart from the callers: the system's resolver cannot be interrupted, and their wait has a limit.
        threading.Thread(target=self._run, daemon=True).start()

    def is_stale(self, arrived: float) -> bool:
        """Return whether a caller that *arrived* then needs a newer one."""
        return self.done.is_set() and arrived - self._ended > (_KEEP_SECONDS if self.error is None else 0.0)

    def _run(self) -> None:
        try:
            self.addresses = _resolve(self._host, self._port)
        except httpx.ConnectError as error:
            self.error = error
        self._ended = time.monotonic()
        self.done.set()


class Resolver:
    """
    Resolves host names and keeps the addresses for 30 seconds.

    `public_hosts` are the hosts that ever had a public address, for `SsrfGuard`.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.public_hosts: set[str] = set()
        self._lookups: dict[tuple[str, int], _Lookup] = {}
        self._lock = threading.Lock()

    def resolve(self, host: str, port: int, limit: WaitLimit) -> list[str]:
        """
        Return the addresses of *host*; the caller may reorder them.

        Concurrent callers share one lookup. An error is not kept for later callers.

        Raises:
            UnknownHostError: There is no such host.
            httpx.ConnectError: The name cannot be resolved now.
            httpx.ConnectTimeout: The name server did not answer within *limit*.
        """
        arrived = time.monotonic()
        with self._lock:
            lookup = self._lookups.get((host, port))
            if lookup is None or lookup.is_stale(arrived):
                lookup = self._lookups[host, port] = _Lookup(host, port)
        try:
            await_event(lookup.done, limit.raise_if_over)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"{host} was not resolved in time") from error
        if lookup.error is not None:
            # A new error for each caller: one that is raised again and again collects tracebacks.
            raise type(lookup.error)(str(lookup.error))
        return lookup.addresses

    def forget(self, host: str, port: int) -> None:
        """Resolve *host* again next time."""
        self._lookups.pop((host, port), None)


def _resolve(host: str, port: int) -> list[str]:
    try:
        # gevent resolves in a thread that prints unexpected errors, so find an invalid name here.
        host.encode("idna")
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        if isinstance(error, socket.gaierror) and error.errno in _UNKNOWN:
            raise UnknownHostError(f"there is no host {host} ({error.strerror})") from error
        raise httpx.ConnectError(f"{host} cannot be resolved: {error.strerror or error}") from error
    except UnicodeError as error:
        raise httpx.ConnectError(f"{host[:100]!r} is not a valid host name") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
