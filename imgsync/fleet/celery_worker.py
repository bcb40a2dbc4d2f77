"""
Run the worker by Celery: its settings, pool, signals and reconnecting.

One batch is carried out at a time, and acknowledged once the broker has the answer.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any

from celery import Celery, signals
from celery.apps.worker import Worker
from celery.exceptions import Reject, SecurityWarning
from celery.worker import state
from kombu import Exchange, Queue
from kombu.utils.objects import cached_property

from imgsync.concurrency.greenlets import Semaphore, pause, spawn
from imgsync.concurrency.signals import handle_signals
from imgsync.fleet.batch_consumer import TASK, BatchConsumer, WorkerPort
from imgsync.fleet.broker_login import HEARTBEAT_SECONDS, BrokerLogin
from imgsync.fleet.connect import list_errors, make_connection, open_connection
from imgsync.fleet.queues import QueueNames, publish

# Batches that come again on a new connection wait in a place of their own, so that the consumer's loop runs on.
_PLACES = 32
# The broker may be restarting. Later, it gives the batch to a worker again.
_PUBLISH_SECONDS = 60.0
_RETRY_SECONDS = 0.5
# How long Celery may take to leave the broker.
_LEAVE_SECONDS = 5.0
_REMEMBERED_ANSWERS = 16


class _Program(Worker):  # type: ignore[misc]
    """Celery's worker, with the signals of imgsync."""

    def install_platform_tweaks(self, worker: Any) -> None:
        """End in order at the first signal, at once at the next."""
        # In place of Celery's handlers: there, SIGINT ends with another exit code than SIGTERM, and a second SIGTERM does nothing.
        del worker
        handle_signals(lambda: _end(self.app), self.app.imgsync_port.cut_short)


class _App(Celery):  # type: ignore[misc]
    """The application of a worker."""

    @cached_property  # type: ignore[untyped-decorator]
    def Worker(self) -> type[_Program]:  # noqa: N802 - as Celery names it
        """The program that `celery worker` runs."""
        return self.subclass_with_self(_Program, name="Worker", attribute="app")  # type: ignore[no-any-return]


def make_worker_app(login: BrokerLogin, names: QueueNames, port: WorkerPort) -> Celery:
    """Return the Celery application of a worker."""
    app = _App("imgsync", broker=login.url, set_as_current=True)
    app.imgsync_port = port
    app.imgsync_queues = names
    app.imgsync_key = login.key
    app.imgsync_turn = turn = Semaphore()
    app.conf.update(_list_settings(login, names))
    _keep_out_of_logs()
    answered: deque[bytes] = deque(maxlen=_REMEMBERED_ANSWERS)

    @app.task(name=TASK, bind=True)  # type: ignore[untyped-decorator]
    def carry_out(_task: Any, text: str, is_repeated: bool) -> None:
        digest = hashlib.sha256(text.encode()).digest()
        with turn:
            # It came again since the connection was lost, and the answer is there.
            if digest not in answered:
                _carry_out(port, login, names, text, is_repeated=is_repeated)
                answered.append(digest)

    return app


def _carry_out(port: WorkerPort, login: BrokerLogin, names: QueueNames, text: str, *, is_repeated: bool) -> None:
    try:
        answer = port.carry_out(text, is_repeated)
        if answer is not None:
            _publish(login, names.results, answer, is_ending=port.is_ending)
    except Exception as error:
        # Another worker, or this one, gets it again; the broker counts how often.
        raise Reject(error, requeue=True) from error
    if answer is None:
        raise Reject("not a batch", requeue=False)


def _end(app: Any) -> None:
    """Take no more batches, and end once the running one is answered."""
    app.imgsync_port.shut_down()
    state.should_stop = 0

    def end_at_last() -> None:
        with app.imgsync_turn:
            pass
        # Celery waits without end for a broker that is silent.
        pause(_LEAVE_SECONDS)
        app.imgsync_port.cut_short()

    spawn(end_at_last)


def _list_settings(login: BrokerLogin, names: QueueNames) -> dict[str, Any]:
    # The consumer has seen that it is there. To declare it is a permission that a worker need not have.
    work = Queue(names.work, exchange=Exchange(""), routing_key=names.work, durable=True, queue_arguments=names.arguments[names.work], no_declare=True)
    return {
        "accept_content": ["json"],
        "broker_connection_max_retries": None,
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
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
        "worker_concurrency": _PLACES,
        "worker_consumer": f"{BatchConsumer.__module__}:BatchConsumer",
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


def _publish(login: BrokerLogin, queue: str, text: str, *, is_ending: Callable[[], bool]) -> None:
    """Publish *text*, and again while the broker is away."""
    line = make_connection(login)
    errors, ends = list_errors(line), time.monotonic() + _PUBLISH_SECONDS
    while True:
        try:
            with open_connection(line) as connection:
                body = text.encode()
                return publish(connection.Producer(serializer=None), queue, body, headers=login.key.sign(body), exchange=queue)
        except errors:
            if time.monotonic() > ends or is_ending():
                raise
            pause(_RETRY_SECONDS)
