"""The resources of one run: log, registries, state and stop."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NoReturn, TypeVar

from imgsync.apply.time_limits import SHORTEST_SECONDS
from imgsync.cli.ci_log import CILog, list_shown_events
from imgsync.cli.environment_warnings import warn_of_environment
from imgsync.cli.options import CommonOptions
from imgsync.cli.output import get_redaction
from imgsync.cli.state_backend import OpenState, open_backend
from imgsync.concurrency.abandon import abandon_if_overdue
from imgsync.concurrency.greenlets import spawn_later
from imgsync.concurrency.native_thread import NativeThread
from imgsync.concurrency.signals import handle_signals
from imgsync.concurrency.stop import Stop
from imgsync.config.model import RegistriesConfig
from imgsync.errors import ImgsyncError, RateLimitedError
from imgsync.images.completeness import ContentChecker
from imgsync.images.image import ManifestCache
from imgsync.images.referrers import ReferrerReader
from imgsync.logs.configure import configure_logging
from imgsync.logs.logger import Logger
from imgsync.logs.stream import LogStream
from imgsync.oci.limits.retry import RetryDetails
from imgsync.plan.context import PlanContext
from imgsync.plan.destination_tags import DestinationTags
from imgsync.plan.listener import PlanListener
from imgsync.policy.policy import ImagePolicy
from imgsync.registries.clients import Registries
from imgsync.state import StateStore
from imgsync.system.collector import collect_as_usual
from imgsync.system.dataclass import dataclass
from imgsync.system.lazy_pattern import compile_patterns_now
from imgsync.text.units import format_duration

if TYPE_CHECKING:
    from imgsync.cli.bundle_load_run import BundleLoad
    from imgsync.lock.load_locks import Locks

STOPPED_EXIT = 75
CANCELLED_EXIT = 130
_GRACE_SECONDS = 5.0
# Other programs and libraries use them in our name; their errors may show them.
_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "CI_JOB_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
_TIME_IS_UP = "the run's time is up"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Session:
    """
    The resources of one run.

    `began` is a moment of the monotonic clock. `throttles` counts the rate-limit responses by registry. `publish_state` pushes the
    state to its registry, if it is kept in one, before the session ends. `ci_log` is the log as a CI runner shows it.
    `open_state_to_write` opens the state again in a session that only reads it. `log_stream` is where `log` is written; progress is shown below it.
    `before_exit` is called when a second signal ends the process. `load` is set while a bundle stands for all sources.
    """

    registries: Registries
    state: StateStore
    log: Logger
    log_stream: LogStream
    stop: Stop
    common: CommonOptions
    throttles: dict[str, int]
    began: float
    publish_state: Callable[[], object]
    ci_log: CILog
    open_state_to_write: Callable[[], contextlib.AbstractContextManager[OpenState]]
    before_exit: list[Callable[[], None]]
    load: BundleLoad | None = None

    def make_context(
        self,
        listener: PlanListener,
        *,
        refresh: bool,
        strict: bool = True,
        reads_records: bool = True,
        cache_bytes: int | None = None,
        locks: Locks | None = None,
    ) -> PlanContext:
        """
        Return the context of a plan.

        Args:
            listener: Receives the progress.
            refresh: Ask the destinations for tags and content instead of the state.
            strict: Without it, a destination that requires a login is not compared.
            reads_records: Without it, the destinations are asked for tags.
            cache_bytes: How many bytes of manifests to keep.
            locks: The locks to use.
        """
        manifests = ManifestCache() if cache_bytes is None else ManifestCache(cache_bytes)
        referrers = ReferrerReader(manifests)
        context = PlanContext(
            registries=self.registries,
            manifests=manifests,
            referrers=referrers,
            policy=ImagePolicy(self.registries.settings, manifests, referrers),
            state=self.state,
            refresh=refresh,
            reads_records=reads_records,
            now=datetime.now(UTC),
            stop=self.stop,
            log=self.log,
            content=ContentChecker(),
            destination_tags=DestinationTags(strict=strict),
            listener=listener,
            locks=locks,
        )
        return context if self.load is None else self.load.attach(context)

    def finish(self, work: Callable[[], Result]) -> Result:
        """
        Return `work()`, which changes nothing, within `--run-timeout`.

        Raises:
            StoppedError: It did not end after a stop, not even after its grace period.
        """
        self.stop_in_time()
        return abandon_if_overdue(work, self.stop)

    def stop_in_time(self) -> None:
        """Request a stop when the time of `--run-timeout` is up."""
        if self.common.run_seconds is not None:
            left_seconds = max(0.0, self.began + self.common.run_seconds - time.monotonic())
            spawn_later(left_seconds, lambda: self.stop.request(_TIME_IS_UP, grace_seconds=0.0))


@dataclass(frozen=True, slots=True)
class OpenLog:
    """
    The log of a process, which may have many sessions.

    `warned_of` are the settings whose surroundings were warned of last.
    """

    log: Logger
    stream: LogStream
    ci_log: CILog
    warned_of: list[RegistriesConfig] = field(default_factory=list)


@contextlib.contextmanager
def open_log(common: CommonOptions) -> Iterator[OpenLog]:
    """Open the log on stderr; at the end, all is written."""
    collect_as_usual()
    compile_patterns_now()
    stream = LogStream()
    ci_log = CILog(stream, log_format=common.log_format)
    try:
        yield OpenLog(_configure_log(common, stream, ci_log), stream, ci_log)
    finally:
        ci_log.end_group()
        stream.wait_until_drained()


@contextlib.contextmanager
def open_session(
    settings: RegistriesConfig,
    common: CommonOptions,
    *,
    read_only: bool,
    pushes: bool | None = None,
    grace_seconds: float | None = None,
    handles_signals: bool = True,
) -> Iterator[Session]:
    """
    Open a session with the registry *settings*, and the log.

    The first signal requests a stop, and running copies, if there are any, get *grace_seconds*; the second ends the process at once. With *read_only* the
    state is not written, and no registry either unless *pushes*. Without *handles_signals*, the caller reacts to them.

    Raises:
        LockedError: Another run has locked the state.
        StateError: The state cannot be read, or cannot be pushed at the end.
    """
    # Signals are restored last: a slow reader of stderr must not make the process deaf to Ctrl-C.
    with contextlib.ExitStack() as signals, open_log(common) as opened:
        stop = Stop()
        before_exit: list[Callable[[], None]] = []
        if handles_signals:
            first = lambda: _stop_gracefully(stop, opened.log, grace_seconds)  # noqa: E731 - as short as the other one
            signals.callback(handle_signals(first, lambda: exit_now(opened, before_exit)))
        with open_run(settings, common, opened, stop, read_only=read_only, pushes=pushes, before_exit=before_exit) as session:
            yield session


@contextlib.contextmanager
def open_run(
    settings: RegistriesConfig,
    common: CommonOptions,
    opened: OpenLog,
    stop: Stop,
    *,
    read_only: bool,
    pushes: bool | None = None,
    before_exit: list[Callable[[], None]] | None = None,
) -> Iterator[Session]:
    """
    Open registries and state for one run, which *stop* ends.

    All that it opens is given back at the end. The fence of *stop*, if it has one, holds back each write to a destination. For the arguments and the
    errors see `open_session`.
    """
    began = time.monotonic()
    hide_secrets(settings)
    log = opened.log
    thread = NativeThread()
    throttles: dict[str, int] = {}
    try:
        with _open_registries(settings, log, throttles, stop, pushes=not read_only if pushes is None else pushes) as registries:
            if not any(one is settings for one in opened.warned_of):
                opened.warned_of[:] = [settings]
                warn_of_environment(settings, registries, log)
            backend = partial(open_backend, common.state, registries, thread=thread, lock_timeout_seconds=common.lock_timeout_seconds, log=log, stop=stop)
            is_opened = _limit_opening(stop, common.run_seconds)
            with backend(read_only=read_only) as state:
                is_opened()
                yield Session(
                    registries=registries,
                    state=state.store,
                    log=log,
                    log_stream=opened.stream,
                    stop=stop,
                    common=common,
                    throttles=throttles,
                    began=began,
                    publish_state=state.publish,
                    ci_log=opened.ci_log,
                    open_state_to_write=partial(backend, read_only=False),
                    before_exit=[] if before_exit is None else before_exit,
                )
    finally:
        thread.close()


def hide_secrets(settings: RegistriesConfig) -> None:
    """Have the secrets of *settings* hidden in all that is printed."""
    hidden, serve = get_redaction(), settings.serve
    hidden.hide(entry.credentials.password.reveal() for entry in settings.by_host.values() if entry.credentials is not None)
    hidden.hide(secret.reveal() for secret in (serve.token, *(sender.secret for sender in serve.events.values())) if secret is not None)


def _limit_opening(stop: Stop, seconds: float | None) -> Callable[[], None]:
    """
    Stop after *seconds* unless the returned function was called before.

    Even a run without time opens its state, because its plan must find out what is left.
    """
    waiting = [True]

    def end() -> None:
        if waiting:
            stop.request(_TIME_IS_UP, grace_seconds=0.0)

    if seconds is not None:
        spawn_later(max(seconds, SHORTEST_SECONDS), end)
    return waiting.clear


def _configure_log(common: CommonOptions, stream: LogStream, ci_log: CILog) -> Logger:
    hidden = get_redaction()
    hidden.hide(os.environ[name] for name in _SECRET_VARIABLES if os.environ.get(name))
    log: Logger = configure_logging(level=common.log_level, form=common.log_format, stream=ci_log.stream, redaction=hidden, shown=list_shown_events())

    def warn_dropped(lines: int) -> None:
        log.warning("log.dropped", lines=lines)

    stream.on_dropped = warn_dropped
    return log


def _open_registries(settings: RegistriesConfig, log: Logger, throttles: dict[str, int], stop: Stop, *, pushes: bool) -> Registries:
    def warn_unread(text: str) -> None:
        log.warning("credentials.unread", reason=text)

    def pass_on_warning(registry: str, text: str) -> None:
        log.warning("registry.warned", registry=registry, reason=text)

    registries = Registries(
        settings,
        environ=os.environ,
        pushes=pushes,
        on_retry=lambda details: _log_retry(log, throttles, details),
        redaction=get_redaction(),
        on_warning=warn_unread,
        on_registry_warning=pass_on_warning,
        is_in_grace=lambda: stop.is_in_grace,
    )
    registries.check_write = None if stop.fence is None else stop.check_write
    registries.on_parallel = lambda registry, origin, count: log.debug("registry.parallel", registry=registry, origin=origin, requests=count)
    registries.on_protocol = lambda registry, origin, server, protocol: log.debug(
        "registry.protocol", registry=registry, origin=origin, server=server, protocol=protocol
    )
    return registries


def _stop_gracefully(stop: Stop, log: Logger, grace_seconds: float | None) -> None:
    stop.request("interrupted", grace_seconds=_GRACE_SECONDS if grace_seconds is None else grace_seconds, interrupted=True)
    if stop.is_idle:
        return
    copies = "" if grace_seconds is None else f"running copies may take {format_duration(grace_seconds)} more (--grace); "
    log.warning("run.stopping", reason=f"interrupted; {copies}press Ctrl-C again to stop now")


def exit_now(opened: OpenLog, before_exit: Sequence[Callable[[], None]]) -> NoReturn:
    """End the process at once, after a second signal."""
    # Without cleaning up: the state is written as the run goes, and the next run finds out the rest.
    try:
        for call in before_exit:
            with contextlib.suppress(ImgsyncError):
                call()
        opened.stream.hide(wait=False)
        opened.log.warning("run.cut_short", reason="interrupted again; run it again to resume")
    finally:
        os._exit(CANCELLED_EXIT)


def _log_retry(log: Logger, throttles: dict[str, int], details: RetryDetails) -> None:
    throttled = isinstance(details.error, RateLimitedError)
    if isinstance(details.error, RateLimitedError):
        registry = details.error.reference.partition("/")[0]
        throttles[registry] = throttles.get(registry, 0) + 1
    log.warning(
        "registry.throttled" if throttled else "request.retried",
        operation=details.operation,
        reference=details.reference,
        attempt=details.attempt,
        wait_seconds=round(details.wait_seconds, 3),
        error=details.error.message,
    )
