"""
Run the worker by Celery: its consumer, pool and reconnecting.

Of a message only the bytes of its body count. What else Celery's protocol can carry (callbacks, chains, times, expiry) is dropped before Celery sees it,
so that a message can do nothing but name a batch.
"""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Callable
from typing import Any

from celery import Celery, signals
from celery.exceptions import Reject, SecurityWarning
from celery.worker.consumer.consumer import Consumer
from kombu import Exchange, Queue

from imgsync.apply.batch import MESSAGE_BYTES
from imgsync.fleet.broker_login import CONNECT_SECONDS, HEARTBEAT_SECONDS, BrokerLogin
from imgsync.fleet.queues import QueueNames, declare_queues, publish
from imgsync.system.dataclass import dataclass

_TASK = "imgsync.batch"
# What would need events, remote control or queues of its own: RabbitMQ 4.3 refuses transient queues (celery#10290).
_LEFT_OUT = ("mingle", "events", "gossip", "heart", "control", "delayed_delivery", "agent")


@dataclass(frozen=True, slots=True)
class WorkerPort:
    """
    What the worker does, for Celery to call.

    Attributes:
        carry_out: Returns the answer to the body of a message; the flag says whether it was delivered before. None for no answer.
        refuse: Receives why a message is not one of ours.
        shut_down: Called when the worker is to end.
    """

    carry_out: Callable[[str, bool], str | None]
    refuse: Callable[[str], None]
    shut_down: Callable[[], None]


class BatchConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer, for messages that are batches."""

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        """The steps of the consumer that a worker needs."""

        default_steps = tuple(step for step in Consumer.Blueprint.default_steps if step.rpartition(":")[0].rpartition(".")[2] not in _LEFT_OUT)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Return what receives each message."""
        handle = super().create_task_handler(*args, **kwargs)
        port: WorkerPort = self.app.imgsync_port
        # Those of answers and of what is refused too: what has no queue would be lost.
        declare_queues(self.connection.default_channel, self.app.imgsync_queues)

        def on_message(message: Any) -> None:
            try:
                text = _read_body(message.body)
            except ValueError as error:
                port.refuse(str(error))
                message.reject_log_error(None, self.connection_errors)
                return
            _make_task(message, text)
            handle(message)

        return on_message


def make_worker_app(login: BrokerLogin, names: QueueNames, port: WorkerPort) -> Celery:
    """Return the Celery application of a worker."""
    app = Celery("imgsync", broker=login.url, set_as_current=True)
    app.imgsync_port = port
    app.imgsync_queues = names
    app.conf.update(_list_settings(login, names))
    _keep_out_of_logs()
    signals.worker_shutting_down.connect(lambda **_: port.shut_down(), weak=False)

    @app.task(name=_TASK, bind=True)  # type: ignore[untyped-decorator]
    def carry_out(task: Any, text: str, is_repeated: bool) -> None:
        try:
            answer = port.carry_out(text, is_repeated)
            if answer is not None:
                _publish(task.app, names.results, answer)
        except Exception as error:
            # Another worker, or this one, gets it again; the broker counts how often.
            raise Reject(error, requeue=True) from error
        if answer is None:
            raise Reject("not a batch", requeue=False)

    return app


def _list_settings(login: BrokerLogin, names: QueueNames) -> dict[str, Any]:
    work = Queue(names.work, exchange=Exchange(""), routing_key=names.work, durable=True, queue_arguments=names.arguments[names.work])
    return {
        "accept_content": ["json"],
        "broker_connection_max_retries": None,
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_timeout": CONNECT_SECONDS,
        "broker_heartbeat": HEARTBEAT_SECONDS,
        "broker_transport_options": {"confirm_publish": True},
        "broker_use_ssl": login.ssl_options,
        "task_acks_late": True,
        "task_acks_on_failure_or_timeout": False,
        "task_create_missing_queues": False,
        "task_default_queue": names.work,
        "task_ignore_result": True,
        "task_queues": [work],
        "task_reject_on_worker_lost": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_concurrency": 1,
        "worker_consumer": f"{__name__}:BatchConsumer",
        "worker_enable_prefetch_count_reduction": False,
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
        "worker_prefetch_multiplier": 1,
        "worker_redirect_stdouts": False,
        "worker_send_task_events": False,
    }


def _keep_out_of_logs() -> None:
    # Otherwise Celery would write its own lines between ours.
    signals.setup_logging.connect(lambda **_: None, weak=False)
    # In a container everybody is root, and nothing is unpickled.
    warnings.filterwarnings("ignore", category=SecurityWarning)


def _read_body(body: Any) -> str:
    data = body.encode() if isinstance(body, str) else bytes(body)
    if len(data) > MESSAGE_BYTES:
        raise ValueError(f"it has {len(data)} bytes, more than {MESSAGE_BYTES}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueError("it is not text") from error


def _make_task(message: Any, text: str) -> None:
    """Make of *message* the task that carries out the batch *text*."""
    properties = message.delivery_info
    message.headers = {"task": _TASK, "id": str(uuid.uuid4())}
    message.content_type, message.content_encoding = "application/json", "utf-8"
    message.properties = {"delivery_info": properties}
    message.body = json.dumps([[text, bool(properties.get("redelivered"))], {}, {}])


def _publish(app: Celery, queue: str, text: str) -> None:
    """Publish *text* and wait until the broker has it."""
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=3, interval_start=0.5, timeout=CONNECT_SECONDS)
        publish(connection.Producer(serializer=None), queue, text.encode())
