"""
HTTP clients of one endpoint, each for one caller.

Source and destination never share a pool and no caller waits for a client, so copies cannot deadlock or starve.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from imgsync.oci.endpoint import Endpoint
from imgsync.oci.http.client import HttpClient
from imgsync.oci.http.proxy import parse_proxy
from imgsync.oci.http.ssrf_guard import SsrfGuard
from imgsync.oci.http.url import Origin, origin_of
from imgsync.oci.responses import HTTP_ERRORS

CONNECT_SECONDS = 10.0


class ClientPool:
    """Keeps idle HTTP clients and makes new ones."""

    def __init__(self, origin: Origin, new_client: Callable[[], HttpClient]) -> None:
        """Start empty; `open_ahead` connects to *origin*."""
        self._origin = origin
        self._new_client = new_client
        self._idle: list[HttpClient] = []
        self._opening = 0

    @property
    def idle_count(self) -> int:
        """Return how many clients are idle."""
        return len(self._idle)

    @contextlib.contextmanager
    def borrow(self) -> Iterator[HttpClient]:
        """Give one client until the block ends."""
        # Last in, first out: warm connections are reused, so few are open.
        client = self._idle.pop() if self._idle else self._new_client()
        try:
            yield client
        except Exception:
            self._idle.append(client)
            raise
        except BaseException:
            # The greenlet was interrupted; the connection's state is unknown, so discard it.
            client.close()
            raise
        else:
            self._idle.append(client)

    def open_ahead(self, clients: int) -> None:
        """Connect in the background until *clients* are ready."""
        missing = max(0, clients - len(self._idle) - self._opening)
        # Counted before the first one starts, because other callers run meanwhile.
        self._opening += missing
        for _ in range(missing):
            threading.Thread(target=self._open, daemon=True).start()

    def close(self) -> None:
        """Close every idle client."""
        while self._idle:
            self._idle.pop().close()

    def _open(self) -> None:
        client = self._new_client()
        try:
            client.connect(self._origin, CONNECT_SECONDS)
        except HTTP_ERRORS:
            # The next request connects again and reports the error.
            client.close()
        else:
            self._idle.append(client)
        finally:
            self._opening -= 1


def make_client_factory(endpoint: Endpoint) -> Callable[[], HttpClient]:
    """Return a function that makes HTTP clients for *endpoint*."""
    own = [origin_of(endpoint.discovered_by or endpoint.url)[1:]]
    if endpoint.token_server:
        own.append(origin_of(endpoint.token_server)[1:])
    own += [origin_of(f"{scheme}://{name}")[1:] for name in endpoint.also_known_as for scheme in ("https", "http")]
    own += [(host, own[0][1]) for host, _ in own[1:]] if endpoint.also_known_as else []
    proxy = None if endpoint.proxy is None else parse_proxy(endpoint.proxy)
    guard = SsrfGuard(own, resolver=endpoint.resolver, proxy=None if proxy is None else proxy.origin[1:])
    return lambda: HttpClient(endpoint.tls_context, guard, proxy)
