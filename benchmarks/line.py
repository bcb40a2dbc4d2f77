"""
Simulate a slow line with a TCP proxy.

The proxy adds latency, a rate limit and slow start.

    python -m benchmarks.line ONEWAY_MS RATE_MIB HOST:PORT

It prints the port that it listens on. Each byte arrives ONEWAY_MS after it was sent, and a new connection waits one round trip for its handshake.
Each direction of a connection sends at most RATE_MIB per second, and no faster than its congestion window, which starts with ten segments and grows
by the bytes acknowledged. Packet loss is not simulated, so a real line is worse.
"""

from __future__ import annotations

import asyncio
import collections
import sys

_SEGMENT = 1448
_FIRST_WINDOW = 10 * _SEGMENT
_PIECE = 64 << 10


class _Direction:
    """One direction of a connection, with its rate limit and latency."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, oneway: float, rate: float, begins: float) -> None:
        self._reader, self._writer = reader, writer
        self._oneway, self._rate = oneway, rate
        self._free = begins
        self._window = float(_FIRST_WINDOW)
        self._acknowledged: collections.deque[tuple[float, int]] = collections.deque()
        # The queue limits the bytes in flight, as socket buffers would.
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=max(4, int(rate * oneway * 2) // _PIECE + 4))

    async def run(self) -> None:
        delivery = asyncio.ensure_future(self._deliver())
        try:
            while data := await self._reader.read(_PIECE):
                await self._queue.put((self._arrival(data), data))
            await self._queue.put((self._arrival(b""), b""))
            await delivery
        except ConnectionError:
            delivery.cancel()
        finally:
            self._writer.close()

    def _arrival(self, data: bytes) -> float:
        """Return the time at which the last byte of *data* arrives."""
        start = max(asyncio.get_running_loop().time(), self._free)
        left = len(data)
        while left:
            while self._acknowledged and self._acknowledged[0][0] <= start:
                self._window += self._acknowledged.popleft()[1]
            rate = min(self._rate, self._window / (2 * self._oneway))
            size = left if rate == self._rate else min(left, max(_SEGMENT, int(self._window / 4)))
            start += size / rate
            left -= size
            if rate < self._rate:
                self._acknowledged.append((start + 2 * self._oneway, size))
        self._free = start
        return start + self._oneway

    async def _deliver(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await self._queue.get()
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            if not data:
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                return
            self._writer.write(data)
            await self._writer.drain()


async def serve(oneway: float, rate: float, host: str, port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        now = asyncio.get_running_loop().time()
        far_reader, far_writer = await asyncio.open_connection(host, port, limit=_PIECE)
        # Loopback has no handshake delay, so the client's first byte waits for it here.
        up = _Direction(reader, far_writer, oneway=oneway, rate=rate, begins=now + 2 * oneway)
        down = _Direction(far_reader, writer, oneway=oneway, rate=rate, begins=now)
        await asyncio.gather(up.run(), down.run(), return_exceptions=True)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=512, limit=_PIECE)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    target_host, _, target_port = sys.argv[3].partition(":")
    asyncio.run(serve(float(sys.argv[1]) / 1000, float(sys.argv[2]) * (1 << 20), target_host, int(target_port)))
