"""
HTTP clients of one endpoint, each for one caller.

Source and destination never share a pool, and a caller waits only for a client that is being connected. So copies cannot deadlock or starve.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from imgsync.oci.capabilities import Capabilities
from imgsync.oci.endpoint import Endpoint
from imgsync.oci.http.client import HttpClient
from imgsync.oci.http.connector import Connector
from imgsync.oci.http.proxy import parse_proxy
from imgsync.oci.http.shared_connections import SharedConnections
from imgsync.oci.http.ssrf_guard import SsrfGuard
from imgsync.oci.http.url import Origin, origin_of
from imgsync.oci.limits.waits import Wait, Waits
from imgsync.oci.responses import HTTP_ERRORS

CONNECT_SECONDS = 10.0


class _Waiter(Wait):
    """A caller that waits for a client."""

    __slots__ = ("client",)

    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__(check)
        # None at the end: the caller connects itself.
        self.client: HttpClient | None = None


class _Loan:
    """The client of one caller, until its block ends."""

    __slots__ = ("_check", "_client", "_pool")

    def __init__(self, pool: ClientPool, check: Callable[[], None] | None) -> None:
        self._pool = pool
        self._check = check
        self._client: HttpClient | None = None

    def __enter__(self) -> HttpClient:
        self._client = self._pool.take(self._check)
        return self._client

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._client is not None:
            self._pool.take_back(self._client, kind)


class ClientPool:
    """
    Keeps idle HTTP clients and makes new ones.

    Callers wait for a client only while one is being connected for them; one that another caller returns earlier is theirs as well.
    """

    def __init__(
        self, origin: Origin, new_client: Callable[[], HttpClient], capabilities: Capabilities, *, on_close: Callable[[], None] = lambda: None
    ) -> None:
        """Start empty; clients that connect ahead connect to *origin*."""
        self._on_close = on_close
        self._origin = origin
        self._new_client = new_client
        self._capabilities = capabilities
        self._idle: list[HttpClient] = []
        self._opening = 0
        # At most as many as `_opening`. Greenlets switch only where they wait, so no lock is needed.
        self._waiters: deque[_Waiter] = deque()
        self._waits = Waits()
        self._is_reachable = False
        self._is_closed = False

    @property
    def idle_count(self) -> int:
        """Return how many clients are idle."""
        return len(self._idle)

    def borrow(self, check: Callable[[], None] | None = None) -> contextlib.AbstractContextManager[HttpClient]:
        """
        Return a context that gives one client until its block ends.

        It may wait for one that is being connected, unless *check* is None. *check* may end the wait.
        """
        return _Loan(self, check)

    def take(self, check: Callable[[], None] | None) -> HttpClient:
        """Return a client, for `take_back`."""
        # Last in, first out: warm connections are reused, so few are open.
        if self._idle:
            return self._idle.pop()
        return self._wait(check) if check is not None and self._expects_client() else self._new_client()

    def take_back(self, client: HttpClient, error: type[BaseException] | None) -> None:
        """Keep *client* for others, whose user ended with an *error* or none."""
        if error is not None and not issubclass(error, Exception):
            # The greenlet was interrupted; the connection's state is unknown, so discard it.
            client.close()
            return
        self._is_reachable = self._is_reachable or error is None
        self._give(client)

    def open_ahead(self, clients: int) -> None:
        """Connect in the background until *clients* are ready."""
        self._open_more(clients - len(self._idle) - self._opening + len(self._waiters))

    def close(self) -> None:
        """Close every idle client."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()
        self._on_close()

    def _expects_client(self) -> bool:
        """Return whether to wait, rather than connect at once."""
        # Before the first success, the request itself connects and reports the error.
        return self._is_reachable and (self._opening > len(self._waiters) or self._capabilities.is_far)

    def _wait(self, check: Callable[[], None]) -> HttpClient:
        waiter = _Waiter(check)
        self._waiters.append(waiter)
        # From a far registry, another caller's response often comes before a new connection.
        self._open_more(len(self._waiters) - self._opening)
        try:
            self._waits.run(waiter)
        except BaseException:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif waiter.client is not None:
                self._give(waiter.client)
            raise
        return waiter.client or self._new_client()

    def _give(self, client: HttpClient) -> None:
        """Hand *client* to the first waiter, or keep it."""
        if self._waiters:
            waiter = self._waiters.popleft()
            waiter.client = client
            waiter.end()
        elif self._is_closed:
            client.close()
        else:
            self._idle.append(client)

    def _open_more(self, clients: int) -> None:
        # Counted before the first one starts, because other callers run meanwhile.
        self._opening += max(0, clients)
        for _ in range(clients):
            threading.Thread(target=self._open, daemon=True).start()

    def _open(self) -> None:
        client = self._new_client()
        is_connected = False
        try:
            is_connected = self._connect(client)
        finally:
            self._opening -= 1
            self._is_reachable = is_connected
            if is_connected:
                self._give(client)
            else:
                client.close()
                # They connect themselves, and report the error.
                while len(self._waiters) > self._opening:
                    self._waiters.popleft().end()

    def _connect(self, client: HttpClient) -> bool:
        """Connect *client*; return False if the registry does not answer."""
        began = time.monotonic()
        try:
            is_new = client.connect(self._origin, CONNECT_SECONDS)
        except HTTP_ERRORS:
            return False
        if is_new and self._origin[0] == "https":
            # TCP and TLS take at least two round trips.
            self._capabilities.learn_round_trip((time.monotonic() - began) / 2)
        return True


class ClientFactory:
    """Makes HTTP clients for one endpoint, which share its HTTP/2 connections."""

    def __init__(
        self, endpoint: Endpoint, on_warning: Callable[[str], object] = lambda _: None, on_protocol: Callable[[str, str], object] = lambda *_: None
    ) -> None:
        """
        Connect to nothing yet.

        *on_warning* receives why a server gets HTTP/1.1, *on_protocol* each server with what it chose.
        """
        own = [origin_of(endpoint.discovered_by or endpoint.url)[1:]]
        if endpoint.token_server:
            own.append(origin_of(endpoint.token_server)[1:])
        own += [origin_of(f"{scheme}://{name}")[1:] for name in endpoint.also_known_as for scheme in ("https", "http")]
        own += [(host, own[0][1]) for host, _ in own[1:]] if endpoint.also_known_as else []
        proxy = None if endpoint.proxy is None else parse_proxy(endpoint.proxy)
        guard = SsrfGuard(own, resolver=endpoint.resolver, proxy=None if proxy is None else proxy.origin[1:])
        self._on_warning = on_warning
        self._connector = Connector(endpoint.tls_context, guard, proxy)
        self._shared = (
            SharedConnections(self._connector, self._warn, lambda origin, protocol: on_protocol(f"{origin[1]}:{origin[2]}", protocol))
            if endpoint.http2
            else None
        )

    def __call__(self) -> HttpClient:
        """Return a new client."""
        return HttpClient(self._connector, self._shared)

    def close(self) -> None:
        """Close the shared connections."""
        if self._shared is not None:
            self._shared.close()

    def _warn(self, origin: Origin, reason: str) -> None:
        self._on_warning(f"HTTP/2 with {origin[1]}:{origin[2]} does not work, so HTTP/1.1 is used ({reason}); set `http2: false` in registries.yaml")
