"""Open the state, in a directory or in a registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from imgsync.concurrency.abandon import abandon_if_overdue
from imgsync.concurrency.native_thread import NativeThread
from imgsync.concurrency.stop import Stop
from imgsync.errors import ImgsyncError
from imgsync.logs.logger import Logger
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.registries.clients import Registries
from imgsync.state import StateStore, open_state
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.oci.spec.reference import Reference
    from imgsync.state.remote.sync import RemoteState

# The state is small and everything waits for it, so we retry sooner than for an image.
_FIRST_PAUSE_SECONDS = 1.0


def _publish_nothing() -> None:
    """Do nothing: others read the directory itself."""


@dataclass(frozen=True, slots=True)
class OpenState:
    """An open state; `publish` pushes it to its registry."""

    store: StateStore
    publish: Callable[[], object] = _publish_nothing


@contextmanager
def open_backend(
    location: str | None, registries: Registries, *, thread: NativeThread, lock_timeout_seconds: float, log: Logger, stop: Stop, read_only: bool
) -> Iterator[OpenState]:
    """
    Open the state at *location*, locked unless *read_only*.

    A state in a registry is pulled first, and pushed at the end, even after a failure. With *read_only* it is pulled into memory.

    Args:
        location: A directory, `oci://HOST/REPOSITORY:TAG`, or None for an empty state in memory.
        registries: Makes the client of the registry.
        thread: Runs the database.
        lock_timeout_seconds: How long to wait for another run's lock.
        log: Receives warnings.
        stop: Ends the waiting.
        read_only: Whether nothing is written.

    Raises:
        LockedError: Another run has locked the directory.
        StateError: The state cannot be read or pushed; what could not be pushed stays in the directory.
        UsageError: The location is invalid.
    """

    def warn(text: str) -> None:
        log.warning("state.degraded", reason=text)

    def open_directory(directory: str) -> AbstractContextManager[StateStore]:
        return open_state(
            directory, thread=thread, lock_timeout_seconds=lock_timeout_seconds, on_warning=warn, read_only=read_only, check=stop.raise_if_requested
        )

    if location is None:
        yield OpenState(StateStore(None, thread, on_warning=warn))
        return
    # Imported now: most states are in a directory.
    from imgsync.state.remote.reference import get_local_directory, is_remote, parse_remote

    if not is_remote(location):
        with open_directory(location) as store:
            yield OpenState(store)
        return
    reference = parse_remote(location)
    directory = get_local_directory(reference)
    with open_directory(directory) as store:
        remote = make_remote_state(reference, registries, store, directory=directory, log=log)
        abandon_if_overdue(lambda: remote.pull(check=stop.raise_if_requested), stop)
        with _push_at_end(remote, log, read_only=read_only):
            yield OpenState(store, remote.push)


def make_remote_state(
    reference: Reference, registries: Registries, store: StateStore, *, directory: str, log: Logger, check: Callable[[], None] | None = None
) -> RemoteState:
    """
    Return the state at *reference*, synchronized with *store*.

    *check* may end its waiting. By default nothing does: a run that was stopped must still push what it did.
    """
    from imgsync.state.remote.sync import RemoteState

    retry_policy = RetryPolicy(interval_seconds=_FIRST_PAUSE_SECONDS, on_retry=registries.on_retry)
    if check is not None:
        retry_policy = retry_policy.with_check(check)
    client = registries.make_client(reference.repository.registry, "destination", retry_policy)
    path = reference.repository.path
    return RemoteState(client, reference, store, directory=directory, make_repository=lambda: registries.create_repository(client, path), log=log)


@contextmanager
def _push_at_end(remote: RemoteState, log: Logger, *, read_only: bool) -> Iterator[None]:
    """Push the state after the block, even on failure."""
    try:
        yield
    except ImgsyncError:
        if not read_only:
            _push_after_failure(remote, log)
        raise
    if not read_only:
        remote.push()


def _push_after_failure(remote: RemoteState, log: Logger) -> None:
    failure = _try_push(remote)
    if failure is not None:
        log.error("state.unpushed", error=failure.message, hint=failure.hint)


def _try_push(remote: RemoteState) -> ImgsyncError | None:
    try:
        remote.push()
    except ImgsyncError as error:
        return error
    return None
