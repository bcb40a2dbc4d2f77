"""
Take batches from the broker by Celery's consumer.

Of a message only the bytes of its body count. What else Celery's protocol can carry (callbacks, chains, times, expiry) is dropped before Celery sees it,
so that a message can do nothing but name a batch.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from amqp.exceptions import AccessRefused, NotFound
from celery.bootsteps import RUN
from celery.worker import state
from celery.worker.consumer.consumer import Consumer

from imgsync.apply.batch import MESSAGE_BYTES, RefusedReason
from imgsync.concurrency.greenlets import call_every, pause
from imgsync.fleet.broker_login import CONNECT_SECONDS
from imgsync.fleet.connect import REFUSALS, bound_waits
from imgsync.fleet.message_key import MessageKey
from imgsync.fleet.queues import QueueNames, declare_queues
from imgsync.fleet.repeats import Repeats
from imgsync.system.dataclass import dataclass

TASK = "imgsync.batch"
_NOT_SIGNED = "it is not signed with the key of this machine (`broker: {key: ...}` in registries.yaml)"
_SIGNED = "it is signed, and this machine has no key (`broker: {key: ...}` in registries.yaml)"
# What would need events, remote control or queues of its own: RabbitMQ 4.3 refuses transient queues (celery#10290).
_LEFT_OUT = ("mingle", "events", "gossip", "heart", "control", "delayed_delivery", "agent")
_POLL_SECONDS = 0.5
_BEAT_SECONDS = 1.0
# Between the first attempts to connect, and at most.
_RECONNECT_SECONDS = (1.0, 5.0)


@dataclass(frozen=True, slots=True)
class WorkerPort:
    """
    What the worker does, for Celery to call.

    Attributes:
        carry_out: Returns the answer to the body of a message; the flag says whether it was delivered before. None for no answer.
        refuse: Receives why a message is not one of ours.
        shut_down: Called when the worker is to end: the running batch gets a grace period.
        cut_short: Ends the process at once.
        is_ending: Returns whether the worker is to end.
        lose: Receives the broker's address, why it cannot be reached, and whether it was before; at growing intervals until it can.
        give_up: Receives address and reason when to try again does not help; ends the process.
        start: Receives the broker's address when the worker waits for batches.
        wait: Called when the queues are not there, and the worker may not declare them.
    """

    carry_out: Callable[[str, bool], str | None]
    refuse: Callable[[RefusedReason, str], None]
    shut_down: Callable[[], None]
    cut_short: Callable[[], None]
    is_ending: Callable[[], bool]
    lose: Callable[[str, str, bool], None]
    give_up: Callable[[str, str], None]
    start: Callable[[str], None]
    wait: Callable[[], None]


class BatchConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer, for messages that are batches."""

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        """The steps of the consumer that a worker needs."""

        default_steps = tuple(step for step in Consumer.Blueprint.default_steps if step.rpartition(":")[0].rpartition(".")[2] not in _LEFT_OUT)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take one batch at a time from the broker."""
        self.loop = _receive
        self.was_connected = False
        self.repeats = Repeats()
        super().__init__(*args, **{**kwargs, "initial_prefetch_count": 1})

    def connect(self) -> Any:
        """Return a connection to a broker that has all queues."""
        connection = super().connect()
        try:
            # Those of answers and of what is refused too: what has no queue would be lost.
            _wait_for_queues(connection, self.app.imgsync_queues, on_wait=self.app.imgsync_port.wait)
        except REFUSALS as error:
            self._report(error)
            raise
        self.was_connected = True
        return connection

    def ensure_connected(self, conn: Any) -> Any:
        """Open *conn*, however often that takes, and return it."""
        # Celery waits up to half a minute between attempts, and without end for a broker that accepts a connection and is silent.
        conn.connect_timeout = CONNECT_SECONDS
        try:
            conn.ensure_connection(
                lambda error, _: self._report(error),
                interval_start=_RECONNECT_SECONDS[0],
                interval_step=_RECONNECT_SECONDS[0],
                interval_max=_RECONNECT_SECONDS[1],
                callback=state.maybe_shutdown,
            )
        except Exception as error:
            self._report(error)
            raise
        bound_waits(conn)
        return conn

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Log *exc*, and clear away the connection."""
        self._report(exc)
        super().on_connection_error_after_connected(exc)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Log *exc*."""
        self._report(exc)

    def _report(self, error: Exception) -> None:
        port: WorkerPort = self.app.imgsync_port
        broker, reason = self.conninfo.as_uri(), f"{type(error).__name__}: {error}"
        if isinstance(error, REFUSALS) and not self.was_connected:
            port.give_up(broker, reason)
        elif self.repeats.is_due(time.monotonic()):
            port.lose(broker, reason, self.was_connected)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Return what receives each message."""
        handle = super().create_task_handler(*args, **kwargs)
        port: WorkerPort = self.app.imgsync_port

        def on_message(message: Any) -> None:
            try:
                text = _read_body(message, self.app.imgsync_key)
            except _RefusedError as error:
                port.refuse(error.reason, str(error))
                message.reject_log_error(None, self.connection_errors)
                return
            _make_task(message, text)
            handle(message)

        return on_message


def _wait_for_queues(connection: Any, names: QueueNames, *, on_wait: Callable[[], None]) -> None:
    """Declare the queues, or wait until a coordinator did."""
    if _has_queues(connection, names):
        return
    try:
        declare_queues(connection.channel(), names)
    except AccessRefused:
        on_wait()
        while not _has_queues(connection, names):
            state.maybe_shutdown()
            connection.heartbeat_check()
            pause(_BEAT_SECONDS)


def _has_queues(connection: Any, names: QueueNames) -> bool:
    """Return whether all is declared; to ask needs no permission."""
    channel = connection.channel()
    try:
        for name in names.arguments:
            channel.queue_declare(queue=name, passive=True)
        channel.exchange_declare(exchange=names.results, type="direct", passive=True)
    except NotFound:
        return False
    channel.close()
    return True


def _receive(consumer: Any, connection: Any, task_consumer: Any, blueprint: Any, *_: object) -> None:
    """Receive messages until the worker ends or the connection is lost."""
    # Celery's own loop looks for signals when no frame came for two seconds: with frequent heartbeats, never.
    missed: list[Exception] = []

    def beat() -> None:
        try:
            connection.heartbeat_check()
        except Exception as error:  # noqa: BLE001 - raised in the loop
            missed[:] = [error]

    # In a greenlet of its own: the broker must hear from a worker that ends its last batch.
    end_beats = call_every(_BEAT_SECONDS, beat)
    task_consumer.on_message = consumer.create_task_handler()
    task_consumer.consume()
    consumer.on_ready()
    consumer.repeats.end()
    consumer.app.imgsync_port.start(consumer.conninfo.as_uri())
    try:
        while blueprint.state == RUN:
            state.maybe_shutdown()
            consumer.perform_pending_operations()
            _drain(connection, missed)
    except Exception:
        end_beats()
        raise


def _drain(connection: Any, missed: Sequence[Exception]) -> None:
    """Handle what comes within a moment; raise what was *missed*."""
    if missed:
        raise missed[0]
    with contextlib.suppress(TimeoutError):
        connection.drain_events(timeout=_POLL_SECONDS)


class _RefusedError(Exception):
    """A message that is not a batch, and why."""

    def __init__(self, reason: RefusedReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _read_body(message: Any, key: MessageKey) -> str:
    """
    Return the text of *message*.

    Raises:
        _RefusedError: It is too large, not signed with *key*, or not text.
    """
    data = message.body.encode("utf-8", "surrogateescape") if isinstance(message.body, str) else bytes(message.body)
    if len(data) > MESSAGE_BYTES:
        raise _RefusedError(RefusedReason.TOO_LARGE, f"it has {len(data)} bytes, more than {MESSAGE_BYTES}")
    if not key.accepts(message.headers, data):
        raise _RefusedError(RefusedReason.NOT_SIGNED, _NOT_SIGNED if key.secret else _SIGNED)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _RefusedError(RefusedReason.NOT_OURS, "it is not text") from error


def _make_task(message: Any, text: str) -> None:
    """Make of *message* the task that carries out the batch *text*."""
    properties = message.delivery_info
    message.headers = {"task": TASK, "id": str(uuid.uuid4())}
    message.content_type, message.content_encoding = "application/json", "utf-8"
    message.properties = {"delivery_info": properties}
    message.body = json.dumps([[text, bool(properties.get("redelivered"))], {}, {}])
