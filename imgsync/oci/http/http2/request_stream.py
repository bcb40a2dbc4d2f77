"""One exchange as a byte stream, so that `TimedSocket` times it."""

from __future__ import annotations

from imgsync.oci.http.http2.exchange import Exchange
from imgsync.oci.http.http2.link import Link


class RequestStream:
    """
    The bodies of one exchange: sends the request's, receives the response's.

    Each has the timeouts of a connection of its own, whatever the others on the connection do. The link wakes it four times a second.
    """

    is_encrypted = True

    def __init__(self, link: Link, exchange: Exchange) -> None:
        """Take over *exchange* on *link*."""
        self._link = link
        self.exchange = exchange

    def receive(self, size: int) -> bytes:
        """
        Return up to *size* bytes; none at the end or head.

        Raises:
            TimeoutError: Nothing came within a quarter of a second; call again.
            httpx.TransportError: The exchange failed.
        """
        exchange = self.exchange
        if not exchange.is_readable:
            exchange.changed.clear()
            if not exchange.is_readable:
                exchange.changed.wait()
            if not exchange.is_readable:
                raise TimeoutError("nothing came")
        return self._link.take(exchange, size)

    def receive_into(self, buffer: memoryview) -> int:
        """Fill *buffer* from its start; return the count, 0 at the end."""
        data = self.receive(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def send(self, data: bytes | memoryview) -> int:
        """
        Return how many bytes of *data* were taken.

        Raises:
            TimeoutError: None was taken within a quarter of a second; call again with the same data.
            OSError: The response came first.
        """
        exchange = self.exchange
        exchange.changed.clear()
        if self.has_input():
            raise OSError("the response came before the end of the request")
        sent = self._link.send_body(exchange, data)
        if not sent and data:
            exchange.changed.wait()
            raise TimeoutError("the server takes no bytes")
        return sent

    def has_input(self) -> bool:
        """Return whether the head of the response, or an error, is there."""
        return self.exchange.head is not None or self.exchange.has_ended

    def discard_input(self) -> bool:
        """Return whether anything waits to be read."""
        return self.has_input()

    def close(self) -> None:
        """End the exchange."""
        self._link.end(self.exchange)
