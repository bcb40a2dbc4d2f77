"""
The coordinator's connection to the broker.

Results come in by a consumer of our own queue, not by Celery's `rpc://`, which a restart of the broker breaks. Nothing is lost with the connection:
what was not acknowledged comes again.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Iterator
from typing import Any

from amqp import exceptions
from kombu import Consumer, Producer
from kombu.entity import Queue

from imgsync.fleet.broker_login import BrokerLogin
from imgsync.fleet.connect import REFUSALS, list_errors, make_connection, open_connection
from imgsync.fleet.message_key import MessageKey
from imgsync.fleet.queues import QueueNames, declare_queues, publish
from imgsync.system.dataclass import dataclass

_PREFETCH = 32


class LockedQueueError(Exception):
    """Another coordinator uses the queue."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its bytes, from which queue, and whether signed right."""

    body: bytes
    is_dead: bool
    is_signed: bool
    raw: Any

    def acknowledge(self) -> None:
        """Have the broker forget it."""
        self.raw.ack()


class BrokerLink:
    """Opens connections to the broker, one after the other."""

    def __init__(self, login: BrokerLogin, names: QueueNames) -> None:
        """Connect to nothing yet."""
        self._names = names
        self._key = login.key
        self._connection = make_connection(login)
        self.errors = list_errors(self._connection)
        self.refusals = REFUSALS

    @property
    def address(self) -> str:
        """Return the address without the login."""
        return str(self._connection.as_uri())

    @contextlib.contextmanager
    def open(self) -> Iterator[OpenLink]:
        """
        Yield an open connection that holds the lock of the queue.

        Raises:
            LockedQueueError: Another coordinator holds it.
            Exception: One of `errors`.
        """
        with open_connection(self._connection) as connection:
            self._lock(connection.channel())
            yield OpenLink(connection, self._names, self._key)

    def check(self) -> None:
        """
        Return if a coordinator can use the broker now.

        Raises:
            LockedQueueError: Another coordinator uses it.
            Exception: One of `errors`.
        """
        with open_connection(self._connection) as connection:
            channel = connection.channel()
            self._lock(channel)
            # The broker may take a moment to release it with the connection.
            channel.queue_delete(queue=self._names.lock)

    def _lock(self, channel: Any) -> None:
        """Take the lock, and declare the queues."""
        try:
            # It goes with the connection, however that ends.
            channel.queue_declare(queue=self._names.lock, durable=False, exclusive=True, auto_delete=True)
        except exceptions.ResourceLocked as error:
            raise LockedQueueError(self._names.work) from error
        declare_queues(channel, self._names)


class OpenLink:
    """One open connection."""

    def __init__(self, connection: Any, names: QueueNames, key: MessageKey) -> None:
        """Consume answers and dead batches from now on."""
        self._connection = connection
        self._names = names
        self._key = key
        self._came: deque[Message] = deque()
        self._control = connection.channel()
        self._producer = Producer(connection.channel(), serializer=None)
        for name in (names.results, names.dead):
            channel = connection.channel()
            channel.basic_qos(0, _PREFETCH, False)
            queue = Queue(name, no_declare=True)
            Consumer(channel, [queue], on_message=self._receiver(is_dead=name == names.dead), auto_declare=False).consume()

    def _receiver(self, *, is_dead: bool) -> Any:
        def receive(message: Any) -> None:
            body = message.body.encode("utf-8", "surrogateescape") if isinstance(message.body, str) else bytes(message.body)
            self._came.append(Message(body, is_dead, self._key.accepts(message.headers, body), message))

        return receive

    def publish(self, body: bytes) -> None:
        """Publish a batch and wait until the broker has it."""
        publish(self._producer, self._names.work, body, headers=self._key.sign(body))

    def wait(self, seconds: float) -> Message | None:
        """Return the next message that came within *seconds*, if any."""
        if not self._came:
            with contextlib.suppress(socket.timeout, TimeoutError):
                self._connection.drain_events(timeout=seconds)
            self._connection.heartbeat_check()
        return self._came.popleft() if self._came else None

    def count_workers(self) -> tuple[int, int]:
        """Return how many workers consume batches, and how many batches wait."""
        found = self._control.queue_declare(queue=self._names.work, passive=True)
        return found.consumer_count, found.message_count

    def purge(self) -> int:
        """Remove the batches that no worker has begun; return how many."""
        return int(self._control.queue_purge(queue=self._names.work) or 0)
