"""
The worker that Celery runs: `imgsync worker` names this module to it.

One batch runs at a time, with the engine of `apply`. A session lasts for one run of the coordinator and one number of workers; each begins with the files
of this machine as they are then.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

import click

from imgsync.apply.batch import MESSAGE_BYTES, Answer, Batch, RefusedReason
from imgsync.cli.broker import find_broker
from imgsync.cli.options import CommonOptions
from imgsync.cli.output import get_redaction
from imgsync.cli.session import CANCELLED_EXIT, Session, open_session
from imgsync.cli.worker_run import VARIABLE
from imgsync.concurrency.greenlets import call_every, pause
from imgsync.concurrency.stop import Stop
from imgsync.config.load import load_config
from imgsync.config.model import Config
from imgsync.documents.answer import encode_answer
from imgsync.documents.batch import decode_batch
from imgsync.documents.envelope import parse_document
from imgsync.documents.json_stream import to_json
from imgsync.errors import ConfigError, UsageError
from imgsync.fleet.batch_consumer import WorkerPort
from imgsync.fleet.batch_runner import BatchRunner, refuse_batch
from imgsync.fleet.broker_login import REFUSED_HINT, UNREACHABLE_HINT
from imgsync.fleet.celery_worker import make_worker_app
from imgsync.fleet.check_batch import is_for
from imgsync.fleet.queues import QueueNames
from imgsync.fleet.share_settings import share_settings
from imgsync.logs.logger import Logger
from imgsync.plan.listener import NoListener
from imgsync.text.redaction import Redaction
from imgsync.text.units import format_duration

_DRAIN_POLL_SECONDS = 0.5
_USAGE_EXIT = 3
_REFUSED_SECONDS = 1.0


class Worker:
    """One worker process."""

    def __init__(self, load: Callable[[], Config], options: Mapping[str, Any], redaction: Redaction) -> None:
        """Read the files with *load*; do nothing until a message comes."""
        self.config = load()
        self._load = load
        self._options = options
        self._redaction = redaction
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._open: contextlib.ExitStack | None = None
        self._key: tuple[str, int] | None = None
        self._session: Session | None = None
        self._runner: BatchRunner | None = None
        self._stop: Stop | None = None
        self._is_ending = False
        self._idle_since = time.monotonic()

    def carry_out(self, text: str, is_repeated: bool) -> str | None:
        """Return the answer to *text*, None if it is not a batch."""
        with self._command().scope(cleanup=False):
            try:
                batch = decode_batch(parse_document(text.encode(), name="the message"))
            except UsageError as error:
                self._log_refused(RefusedReason.NOT_OURS, error.message)
                return None
            answer = self._answer(batch, is_repeated=is_repeated or batch.attempt > 1)
            self._log_done(batch, answer)
            return _encode(get_redaction().clean_values(encode_answer(answer)))

    def _log_done(self, batch: Batch, answer: Answer) -> None:
        done = {"batch": batch.id, "changes": batch.image_count, "blobs": len(batch.blobs), "seconds": answer.done.seconds}
        if answer.refused:
            self._find_log().warning("batch.done", **done, refused=answer.refused)
        else:
            self._find_log().info("batch.done", **done, refused="")

    def refuse(self, reason: RefusedReason, detail: str) -> None:
        """Log a message that is not one of ours."""
        with self._command().scope(cleanup=False):
            self._log_refused(reason, detail)

    def wait(self) -> None:
        """Log that the queues are not there yet."""
        with self._command().scope(cleanup=False):
            self._find_log().warning("queues.missing", hint="start a coordinator, which declares them: imgsync apply --broker URL")

    def shut_down(self) -> None:
        """End the running batch within the grace period."""
        reason = f"no batch came for {format_duration(self._options['drain'])} (--drain)" if self._is_ending else "interrupted"
        self._is_ending = True
        if self._stop is None:
            with self._command().scope(cleanup=False):
                self._find_log().info("worker.stopping", reason=reason)
            return
        self._stop.request("the worker is ending", grace_seconds=self._options["grace"])
        with self._command().scope(cleanup=False):
            left = format_duration(self._options["grace"])
            self._find_log().warning("run.stopping", reason=f"interrupted; the running batch may take {left} more (--grace); a second signal stops it now")

    def cut_short(self) -> None:
        """End the process at once; another worker gets its batch."""
        with self._command().scope(cleanup=False):
            try:
                self._find_log().warning("run.cut_short", reason="the broker gives its batch to another worker")
            finally:
                os._exit(CANCELLED_EXIT)

    def start(self, broker: str) -> None:
        """Log that batches can come."""
        with self._command().scope(cleanup=False):
            self._find_log().info("worker.ready", broker=broker, queue=self._options["queue"])

    def lose(self, broker: str, reason: str, was_connected: bool) -> None:
        """Log that the broker cannot be reached."""
        with self._command().scope(cleanup=False):
            log, reason = self._find_log(), self._redaction.clean(reason)[:200]
            if was_connected:
                log.warning("broker.lost", broker=broker, reason=reason)
            else:
                log.warning("broker.unreachable", broker=broker, reason=reason, hint=UNREACHABLE_HINT)

    def give_up(self, broker: str, reason: str) -> None:
        """Log that the broker refused this machine, and end the process."""
        with self._command().scope(cleanup=False):
            try:
                self._find_log().error("broker.refused", broker=broker, reason=self._redaction.clean(reason)[:300], hint=REFUSED_HINT)
            finally:
                os._exit(_USAGE_EXIT)

    def is_ending(self) -> bool:
        """Return whether the worker is to end."""
        return self._is_ending

    def end_when_idle(self) -> None:
        """End the process once no batch came for the time of --drain."""
        if self._stop is None and time.monotonic() - self._idle_since > self._options["drain"] and not self._is_ending:
            self._is_ending = True
            signal.raise_signal(signal.SIGTERM)

    def close(self) -> None:
        """Close the session, if one is open."""
        if self._open is not None:
            with self._command().scope(cleanup=False):
                self._open.close()
            self._open = None

    def _answer(self, batch: Batch, *, is_repeated: bool) -> Answer:
        """Carry out *batch*, and return what it came to."""
        self._stop = stop = Stop()
        if self._is_ending:
            stop.request("the worker is ending", grace_seconds=0.0)
        try:
            answer = self._find_runner(batch).run(batch, stop=stop, is_repeated=is_repeated)
        except ConfigError as error:
            # A file of this machine changed, and is not valid.
            answer = refuse_batch(batch, error, worker=self._name)
        finally:
            self._stop = None
            self._idle_since = time.monotonic()
        if answer.refused:
            # Otherwise one worker with other files would be the first to take most batches.
            pause(_REFUSED_SECONDS)
        return answer

    def _command(self) -> click.Context:
        return click.Context(click.Command("worker"), obj=self._redaction)

    def _log_refused(self, reason: RefusedReason, detail: str) -> None:
        self._find_log().warning("message.refused", reason=reason.value, is_dead=False, detail=self._redaction.clean(detail)[:200])

    def _find_log(self) -> Logger:
        return (self._session or self._open_session(("", 1))).log

    def _find_runner(self, batch: Batch) -> BatchRunner:
        key = (batch.run, batch.workers)
        if self._runner is None or key != self._key or not is_for(batch, self.config):
            self._runner = None
            self.config = self._load()
            session = self._open_session(key)
            context = session.make_context(NoListener(), refresh=False)
            self._runner = BatchRunner(self.config, context, worker=self._name, throttles=session.throttles)
        return self._runner

    def _open_session(self, key: tuple[str, int]) -> Session:
        earlier = self._session
        self.close()
        # On a terminal too: a worker shows nothing else.
        common = CommonOptions(None, None, log_level=self._options["log_level"] or "info", log_format=self._options["log_format"], progress=False)
        self._open = contextlib.ExitStack()
        settings = share_settings(self.config, key[1])
        self._session = self._open.enter_context(open_session(settings, common, read_only=True, pushes=True, handles_signals=False))
        if earlier is not None:
            # A new run, or another number of workers, does not give a registry more requests at once.
            self._session.registries.follow(earlier.registries)
        self._key = key
        return self._session


def _encode(document: dict[str, Any]) -> str:
    text = to_json(document, indented=False)
    if len(text.encode()) > MESSAGE_BYTES:
        # What is there costs the next run requests; how the changes ended must arrive.
        document["outcome"]["blobs"] = []
        text = to_json(document, indented=False)
    return text


def make_app() -> Any:
    """Return the application that Celery runs, as `imgsync worker` set it up."""
    options = json.loads(os.environ[VARIABLE])
    redaction = Redaction()

    def load() -> Config:
        return load_config(options["paths"], registries=options["registries"], environ=os.environ)

    worker = Worker(load, options, redaction)
    with click.Context(click.Command("worker"), obj=redaction).scope(cleanup=False):
        login = find_broker(options["broker"], worker.config.registries.broker, is_argument=False)
    if options["drain"] is not None:
        call_every(_DRAIN_POLL_SECONDS, worker.end_when_idle)
    port = WorkerPort(
        worker.carry_out, worker.refuse, worker.shut_down, worker.cut_short, worker.is_ending, worker.lose, worker.give_up, worker.start, worker.wait
    )
    return make_worker_app(login, QueueNames(options["queue"]), port)


if VARIABLE in os.environ:
    app = make_app()
