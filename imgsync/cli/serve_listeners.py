"""The HTTP servers of `imgsync serve`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from imgsync.concurrency.http_server import Application, HttpServer
from imgsync.concurrency.listen_address import ListenAddress, parse_listen_address
from imgsync.serve.web.app import make_app, make_events_app
from imgsync.serve.web.parts import ReceiveEvent, WebParts
from imgsync.system.dataclass import dataclass

# Answers that are being sent; streams end at once.
_CLOSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers listen; `events` is None if events come to `main`."""

    main: ListenAddress
    events: ListenAddress | None

    @classmethod
    def parse(cls, main: str, events: str | None) -> Addresses:
        """
        Return the addresses of --listen and --listen-events.

        Raises:
            UsageError: One of them is not an address.
        """
        return cls(parse_listen_address(main), None if events is None else parse_listen_address(events))


@contextlib.contextmanager
def open_listeners(parts: WebParts, receive: ReceiveEvent, addresses: Addresses, *, on_error: Callable[[BaseException], None]) -> Iterator[Addresses]:
    """
    Serve pages and receive events within the block; yield where.

    Raises:
        UsageError: An address cannot be listened on.
    """
    app = make_app(parts)
    with contextlib.ExitStack() as stack:
        servers = 1 if addresses.events is None else 2
        main = _open(app, addresses.main, stack, on_error, servers=servers)
        events = None if addresses.events is None else _open(make_events_app(receive), addresses.events, stack, on_error, servers=servers)
        # Before the servers: they wait for the answers that are being sent.
        stack.callback(app.close)
        yield Addresses(main, events)


def _open(app: Application, address: ListenAddress, stack: contextlib.ExitStack, on_error: Callable[[BaseException], None], *, servers: int) -> ListenAddress:
    server = HttpServer(app, address, on_error=on_error, servers=servers)
    server.start()
    stack.callback(server.close, _CLOSE_SECONDS)
    return server.address
