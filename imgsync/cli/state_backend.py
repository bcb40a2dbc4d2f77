"""Where a run's state is: in a directory, or in a registry with a directory that keeps safe what is not there yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgsync.concurrency.native_thread import NativeThread
from imgsync.concurrency.stop import Stop
from imgsync.errors import ImgsyncError
from imgsync.logs.logger import Logger
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.registries.clients import Registries
from imgsync.state import StateStore, open_state

if TYPE_CHECKING:
    from imgsync.oci.spec.reference import Reference
    from imgsync.state.remote.sync import RemoteState

# The state is one small thing that all else waits for: a busy registry is asked again soon.
_FIRST_PAUSE_SECONDS = 1.0


def _nothing() -> None:
    """A directory is where others look for it."""


@dataclass(frozen=True, slots=True)
class Place:
    """An open state, and what puts it where others find it before the run ends."""

    store: StateStore
    publish: Callable[[], object] = _nothing


@contextmanager
def state_at(
    place: str | None, registries: Registries, *, thread: NativeThread, lock_timeout_seconds: float, log: Logger, stop: Stop, read_only: bool
) -> Iterator[Place]:
    """
    Give the state at *place*, a directory or `oci://HOST/REPOSITORY:TAG`, locked unless *read_only*.

    One in a registry is pulled first, and pushed in the end, also after a failure; *read_only* pulls into memory and writes nothing. None is an
    empty state, for who needs none.

    Raises:
        LockedError: Another run holds the directory.
        StateError: The state cannot be had, or not be pushed; what there was to push is kept in the directory.
        UsageError: *place* is neither.
    """

    def warn(text: str) -> None:
        log.warning("state.degraded", reason=text)

    def opened(directory: str) -> AbstractContextManager[StateStore]:
        return open_state(
            directory, thread=thread, lock_timeout_seconds=lock_timeout_seconds, on_warning=warn, read_only=read_only, check=stop.raise_if_requested
        )

    if place is None:
        yield Place(StateStore(None, thread, on_warning=warn))
        return
    # Imported now, as most states are in a directory.
    from imgsync.state.remote.reference import get_local_directory, is_remote, parse_remote

    if not is_remote(place):
        with opened(place) as store:
            yield Place(store)
        return
    reference = parse_remote(place)
    directory = get_local_directory(reference)
    with opened(directory) as store:
        remote = remote_state(reference, registries, store, directory=directory, log=log)
        remote.pull(check=stop.raise_if_requested)
        try:
            yield Place(store, remote.push)
        except ImgsyncError:
            if not read_only:
                _push_after_failure(remote, log)
            raise
        if not read_only:
            remote.push()


def remote_state(reference: Reference, registries: Registries, store: StateStore, *, directory: str, log: Logger) -> RemoteState:
    """Return the state at *reference*, to be kept together with *store*, which lies in *directory*."""
    from imgsync.state.remote.sync import RemoteState

    # Whatever asks the run to stop: what it did has to be remembered.
    retry_policy = RetryPolicy(interval_seconds=_FIRST_PAUSE_SECONDS, on_retry=registries.on_retry)
    client = registries.client(reference.repository.registry, "destination", retry_policy)
    path = reference.repository.path
    return RemoteState(client, reference, store, directory=directory, make_repository=lambda: registries.make_repository(client, path), log=log)


def _push_after_failure(remote: RemoteState, log: Logger) -> None:
    """Push all the same; that the run failed is the news, not that this does too."""
    failure = _failure_to_push(remote)
    if failure is not None:
        log.error("state.unpushed", error=failure.message, hint=failure.hint)


def _failure_to_push(remote: RemoteState) -> ImgsyncError | None:
    try:
        remote.push()
    except ImgsyncError as error:
        return error
    return None
