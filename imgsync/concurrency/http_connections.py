"""
A server's connections, each with a deadline and what it holds.

A connection that waits for its client has a deadline. Past it, its socket is shut down, which ends the greenlet that waits there with an
error, in its own time. When there are too many connections, or they hold too much, the ones that have waited longest go first: those
are clients that send or read slowly, or not at all.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterable


class Connection:
    """One connection; `since` is when it began to wait for its client."""

    __slots__ = ("deadline", "held_bytes", "is_dropped", "is_idle", "since", "socket")

    def __init__(self, client: socket.socket, now: float) -> None:
        """Begin, and wait for nothing."""
        self.socket = client
        self.since = now
        self.deadline: float | None = None
        self.held_bytes = 0
        self.is_idle = False
        self.is_dropped = False


class Connections:
    """Every open connection, at most *limit*, which hold at most *held_limit_bytes*."""

    def __init__(self, limit: int, held_limit_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without any."""
        self._limit = limit
        self._held_limit_bytes = held_limit_bytes
        self._clock = clock
        self._open: dict[Connection, None] = {}
        self._held_bytes = 0
        self.dropped = 0
        """How many were dropped."""

    def __len__(self) -> int:
        """Return how many are open and not dropped."""
        return sum(not one.is_dropped for one in self._open)

    @property
    def count(self) -> int:
        """Return how many have not ended."""
        return len(self._open)

    def open(self, client: socket.socket) -> Connection:
        """Add a connection; drop another if there are too many."""
        connection = Connection(client, self._clock())
        self._open[connection] = None
        if len(self._open) > self._limit and len(self) > self._limit:
            self._drop_longest(self._open, but=connection)
        return connection

    def end(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self.release(connection)
        self._open.pop(connection, None)

    def wait(self, connection: Connection, seconds: float, *, idle: bool = False) -> None:
        """
        Have *connection* wait for its client, for *seconds* at most.

        *idle* says that no request has begun.

        Raises:
            OSError: It was dropped.
        """
        connection.since = self._clock()
        connection.deadline = connection.since + seconds
        connection.is_idle = idle
        self._raise_if_dropped(connection)

    def work(self, connection: Connection) -> None:
        """
        Have *connection* wait for nothing, since a request is worked on.

        Raises:
            OSError: It was dropped.
        """
        connection.deadline = None
        connection.is_idle = False
        self._raise_if_dropped(connection)

    def hold(self, connection: Connection, size_bytes: int) -> None:
        """Count bytes that *connection* holds; drop others if all hold too much."""
        connection.held_bytes += size_bytes
        self._held_bytes += size_bytes
        if self._held_bytes > self._held_limit_bytes:
            self._drop_longest((one for one in self._open if one.held_bytes), but=connection)

    def release(self, connection: Connection) -> None:
        """Count what *connection* held as given back."""
        self._held_bytes -= connection.held_bytes
        connection.held_bytes = 0

    def drop_overdue(self) -> None:
        """Drop each whose deadline is past."""
        now = self._clock()
        for one in [*self._open]:
            if one.deadline is not None and one.deadline < now:
                self._drop(one)

    def drop_idle(self) -> None:
        """Drop each that has no request."""
        for one in [*self._open]:
            if one.is_idle:
                self._drop(one)

    def drop_all(self) -> None:
        """Drop each."""
        for one in [*self._open]:
            self._drop(one)

    def _drop_longest(self, some: Iterable[Connection], *, but: Connection) -> None:
        waiting = [one for one in some if one is not but and one.deadline is not None and not one.is_dropped]
        if waiting:
            self._drop(min(waiting, key=lambda one: one.since))

    def _drop(self, connection: Connection) -> None:
        if not connection.is_dropped:
            connection.is_dropped = True
            self.dropped += 1
            self.release(connection)
            # The client may have gone already.
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _raise_if_dropped(connection: Connection) -> None:
        if connection.is_dropped:
            raise ConnectionAbortedError("the connection was dropped")
