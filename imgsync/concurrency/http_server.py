"""
An HTTP server for a WSGI application, that slow clients cannot occupy.

gevent's server with limits of ours: its own text says that it is not for the open Internet. A connection costs a greenlet and two small
buffers. A client has 10 s for the head of a request, in all, then 20 s for the body, and reads 64 KiB of the answer in 20 s at least.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable
from typing import Any

from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from imgsync.concurrency.greenlets import assert_patched, call_every, pause
from imgsync.concurrency.http_connections import Connections
from imgsync.concurrency.http_handler import Handler, Limits
from imgsync.concurrency.listen_address import ListenAddress, open_listener

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
CONNECTIONS_LIMIT = 1_000
_HELD_LIMIT_BYTES = 32 << 20
_WATCH_SECONDS = 0.5
_CLOSE_LOOK_SECONDS = 0.02
# Beyond the limit, for connections that were dropped and have not ended yet.
_ENDING = 256


class HttpServer:
    """
    Serves a WSGI application on one address.

    `on_error` gets what the application raises; the client gets a 500.
    """

    def __init__(
        self,
        application: Application,
        address: ListenAddress,
        *,
        on_error: Callable[[BaseException], None],
        limits: Limits | None = None,
        connections: int = CONNECTIONS_LIMIT,
        servers: int = 1,
    ) -> None:
        """
        Listen on *address*, and accept nothing yet.

        All *servers* of this process together have no more connections than half of the descriptors that it may open.

        Raises:
            UsageError: The address cannot be listened on.
        """
        assert_patched()
        self._is_closing = False
        most = limit_connections(connections, servers)
        self.connections = Connections(most, _HELD_LIMIT_BYTES)
        attributes = {
            "connections": self.connections,
            "limits": limits or Limits(),
            "is_closing": lambda _: self._is_closing,
            "on_error": lambda _, error: on_error(error),
        }
        self._server = WSGIServer(
            open_listener(address),
            application,
            spawn=Pool(most + _ENDING),
            log=None,
            error_log=None,
            handler_class=type("Handler", (Handler,), attributes),
            # Else gevent asks the name service for this machine's name.
            environ={"SERVER_NAME": address.host or "localhost"},
        )
        self.address = ListenAddress(address.host, int(self._server.socket.getsockname()[1]))
        """Where it listens, with the port that it got."""

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()
        self._end_watch = call_every(_WATCH_SECONDS, self.connections.drop_overdue)

    def close(self, grace_seconds: float = 5.0) -> None:
        """
        Accept nothing more; let requests end within *grace_seconds*.

        Then the connections that are left are dropped.
        """
        self._is_closing = True
        self._server.close()
        self.connections.drop_idle()
        self._await_end(grace_seconds)
        self.connections.drop_all()
        # Each ends as soon as its greenlet runs again, unless its application hangs.
        self._await_end(1.0)
        self._end_watch()

    def _await_end(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while self.connections.count and time.monotonic() < ends:
            pause(_CLOSE_LOOK_SECONDS)


def limit_connections(most: int, servers: int) -> int:
    """Return how many connections, at most *most*, one of *servers* may have."""
    return min(most, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // (2 * servers))
