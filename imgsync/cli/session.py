"""What plan, apply, copy and the others need while they run: log, registries, state and a stop, opened and closed together."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

import click

from imgsync.cli.options import Common
from imgsync.cli.output import redaction
from imgsync.cli.state_backend import state_at
from imgsync.concurrency.greenlets import spawn_later
from imgsync.concurrency.native_thread import NativeThread
from imgsync.concurrency.signals import handle_signals
from imgsync.concurrency.stop import Stop
from imgsync.config.model import RegistriesConfig
from imgsync.errors import RateLimitedError
from imgsync.images.completeness import Completeness
from imgsync.images.image import ManifestCache
from imgsync.images.referrers import ReferrerReader
from imgsync.logs.configure import configure_logging
from imgsync.logs.logger import Logger
from imgsync.logs.stream import LogStream
from imgsync.oci.limits.retry import RetryDetails
from imgsync.plan.context import Inquiry
from imgsync.plan.destination_tags import Served
from imgsync.policy.policy import Gate
from imgsync.registries.clients import Registries
from imgsync.state import StateStore

STOPPED_EXIT = 75
CUT_EXIT = 130
_PROXY_VARIABLES = tuple(name for lower in ("https_proxy", "http_proxy", "all_proxy") for name in (lower.upper(), lower))


@dataclass(frozen=True, slots=True)
class Session:
    """
    One run's surroundings, `began` a moment of the monotonic clock.

    `publish_state` puts what is remembered where others find it, now rather than in the end; `throttles` counts the answers that asked us to
    wait, by registry.
    """

    registries: Registries
    state: StateStore
    log: Logger
    stop: Stop
    common: Common
    throttles: dict[str, int]
    began: float
    publish_state: Callable[[], object]

    def inquiry(self, *, refresh: bool, strict: bool = True) -> Inquiry:
        """Return what a plan made now asks with; unless *strict*, a destination that wants a login we do not have is not compared."""
        manifests = ManifestCache()
        referrers = ReferrerReader(manifests)
        return Inquiry(
            registries=self.registries,
            manifests=manifests,
            referrers=referrers,
            gate=Gate(self.registries.trust, manifests, referrers),
            state=self.state,
            refresh=refresh,
            now=datetime.now(UTC),
            stop=self.stop,
            log=self.log,
            completeness=Completeness(),
            served=Served(strict=strict),
        )

    def stop_in_time(self) -> None:
        """Ask for a stop once `--run-timeout` is over."""
        if self.common.run_seconds is not None:
            spawn_later(self.common.run_seconds, lambda: self.stop.request("the run's time is up", grace_seconds=0.0))


@contextlib.contextmanager
def open_session(trust: RegistriesConfig, common: Common, *, read_only: bool) -> Iterator[Session]:
    """
    Give a session; a first signal asks it to stop in good order, a second ends the process at once.

    Raises:
        LockedError: Another run holds the state.
        StateError: The state cannot be had, or not be pushed in the end.
    """
    began = time.monotonic()
    hidden = redaction()
    hidden.hide(entry.credentials.password.reveal() for entry in trust.by_host.values() if entry.credentials is not None)
    stream = LogStream()
    log = configure_logging(level=common.log_level, form=common.log_format, stream=stream, redaction=hidden)
    stream.on_dropped = lambda lines: log.warning("log.dropped", lines=lines)
    stop = Stop()
    # Found out now: click knows the command it runs by the greenlet that runs it, and signals come in another.
    grace_seconds = _grace()
    undo = handle_signals(lambda: _first_signal(stop, log, grace_seconds), _second_signal)
    thread = NativeThread()
    throttles: dict[str, int] = {}
    try:
        with Registries(
            trust,
            environ=os.environ,
            pushes=not read_only,
            on_retry=lambda details: _note_retry(log, throttles, details),
            on_secret=hidden.hide,
            on_warning=lambda text: log.warning("credentials.unread", reason=text),
            on_registry_warning=lambda registry, text: log.warning("registry.warned", registry=registry, reason=text),
        ) as registries:
            if ignored := _ignored_proxy(trust):
                log.warning(
                    "proxy.ignored", reason=f"{ignored} is set but not used; name the proxy in registries.yaml, for each registry behind it (`proxy: URL`)"
                )
            for path in registries.exposed:
                log.warning("credentials.exposed", path=path, hint=f"everybody on this machine may read the logins in it, or change them: chmod 600 {path}")
            if os.environ.get("SSLKEYLOGFILE"):
                log.warning("keylog.ignored", reason="SSLKEYLOGFILE is set but not used: the keys of TLS would open every login that was sent")
            opened = state_at(
                common.state,
                registries,
                thread=thread,
                lock_timeout_seconds=common.lock_timeout_seconds,
                log=log,
                stop=stop,
                read_only=read_only,
            )
            with opened as place:
                yield Session(registries, place.store, log, stop, common, throttles, began, place.publish)
    finally:
        # While signals are still heard: whoever reads the log may take as long as they like.
        stream.wait_until_drained()
        undo()
        thread.close()


def _ignored_proxy(trust: RegistriesConfig) -> str:
    """Return the name of a variable that asks for a proxy where the trust names none: an environment is too easily somebody else's."""
    if any(entry.proxy for entry in trust.by_host.values()):
        return ""
    return next((name for name in _PROXY_VARIABLES if os.environ.get(name)), "")


def _first_signal(stop: Stop, log: Logger, grace_seconds: float) -> None:
    stop.request("a signal asked for it", grace_seconds=grace_seconds, interrupted=True)
    log.warning("run.stopping", reason="a signal asked for it; a second one cuts")


def _grace() -> float:
    context = click.get_current_context(silent=True)
    grace = context.params.get("grace") if context is not None else None
    return grace if isinstance(grace, float) else 5.0


def _second_signal() -> NoReturn:
    # At once: whatever still runs holds nothing that the next run cannot find out by itself, and what is written was flushed, unless nobody reads it.
    os._exit(CUT_EXIT)


def _note_retry(log: Logger, throttles: dict[str, int], details: RetryDetails) -> None:
    throttled = isinstance(details.error, RateLimitedError)
    if throttled:
        registry = details.error.reference.partition("/")[0] if isinstance(details.error, RateLimitedError) else ""
        throttles[registry] = throttles.get(registry, 0) + 1
    log.warning(
        "registry.throttled" if throttled else "request.retried",
        operation=details.operation,
        reference=details.reference,
        attempt=details.attempt,
        wait_seconds=round(details.wait_seconds, 3),
        error=details.error.message,
    )
