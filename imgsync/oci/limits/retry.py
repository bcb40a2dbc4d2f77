"""When to try again: the arithmetic is tenacity's, the policy ours. Only calls whose body can be sent again come here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from imgsync.errors import ImgsyncError, RateLimitedError, RegistryError

if TYPE_CHECKING:
    import tenacity

Result = TypeVar("Result")

_LONGEST_PAUSE_SECONDS = 60.0
# A registry that asks for more is left alone for this run.
MAX_WAIT_SECONDS = 300.0
_SLICE_SECONDS = 0.25
# How often a registry may say 429, to one call or to all in a row, before that counts as a failure: half of all requests refused is borne.
MAX_REFUSALS = 16


@dataclass(frozen=True, slots=True)
class RetryDetails:
    """One coming retry: what failed, the try that failed (from 1), and the pause before the next."""

    operation: str
    reference: str
    attempt: int
    wait_seconds: float
    error: ImgsyncError


def _nothing() -> None:
    return


def _ignore(_: RetryDetails) -> None:
    return


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """
    How long one caller bears with a registry.

    `attempts` counts all tries (as `AttemptCounter` does), `interval_seconds` is the first pause (doubling, with jitter), `request_seconds` the
    longest silence on a connection, `login` the tries of a token request; `check` is asked before each try and
    during each pause, and raises to give up.
    """

    attempts: int = 4
    interval_seconds: float = 4.0
    request_seconds: float = 30.0
    login_attempts: int = 2
    check: Callable[[], None] = _nothing
    on_retry: Callable[[RetryDetails], None] = _ignore

    def with_check(self, check: Callable[[], None]) -> RetryPolicy:
        """Return the same policy with another *check*."""
        return replace(self, check=check)

    def pause(self, seconds: float) -> None:
        """Sleep *seconds*, asking `check` all the while."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, _SLICE_SECONDS))


class AttemptCounter:
    """
    How often one call may still fail.

    A refusal for having asked too much (429) by a registry that serves others meanwhile is no failure: up to sixteen of them cost no try.
    """

    def __init__(self, attempts: int) -> None:
        """Begin with all *attempts* left."""
        self._left = attempts
        self._refusals = MAX_REFUSALS

    def count_failure(self, error: BaseException | None) -> bool:
        """Count a failure, and return whether it was the last."""
        if isinstance(error, RateLimitedError) and error.serves_other_requests and self._refusals:
            self._refusals -= 1
            return False
        self._left -= 1
        return self._left <= 0


def retry_call(function: Callable[[], Result], retry_policy: RetryPolicy, *, operation: str, reference: str, attempts: int | None = None) -> Result:
    """
    Return `function()`, tried again after transient errors; a `Retry-After` of more than five minutes ends the trying.

    Raises:
        ImgsyncError: The last try's error, or one that is not transient at once.
    """
    retry_policy.check()
    try:
        # Nearly every call succeeds at once, and needs no arithmetic.
        return function()
    except ImgsyncError as error:
        failed = [error]

    def again() -> Result:
        if failed:
            raise failed.pop()
        return function()

    import tenacity

    def before_sleep(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, ImgsyncError):
            pause = state.next_action.sleep if state.next_action else 0.0
            retry_policy.on_retry(RetryDetails(operation, reference, state.attempt_number, pause, error))

    tries = AttemptCounter(attempts or retry_policy.attempts)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_transient),
        stop=lambda state: tries.count_failure(state.outcome.exception() if state.outcome else None),
        wait=lambda state: _pause_after(retry_policy, state, state.outcome.exception() if state.outcome else None),
        sleep=retry_policy.pause,
        before=lambda state: retry_policy.check() if state.attempt_number > 1 else None,
        before_sleep=before_sleep,
        reraise=True,
    )
    try:
        return retrying(again)
    except ImgsyncError as error:
        error.retries_exhausted = True
        raise


def compute_pause_seconds(retry_policy: RetryPolicy, error: ImgsyncError, *, attempt: int) -> float:
    """Return how long to wait after try number *attempt* failed with *error*: as the registry says, else longer each time, with jitter."""
    import tenacity

    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.attempt_number = attempt
    return _pause_after(retry_policy, state, error)


def _pause_after(retry_policy: RetryPolicy, state: tenacity.RetryCallState, error: BaseException | None) -> float:
    if isinstance(error, RegistryError) and error.retry_after_seconds is not None:
        return error.retry_after_seconds
    import tenacity

    if isinstance(error, RateLimitedError) and error.serves_other_requests:
        # Its turn will come; that all ask less meanwhile is seen to where all ask.
        return tenacity.wait_random(0, retry_policy.interval_seconds)(state)
    return tenacity.wait_random_exponential(multiplier=retry_policy.interval_seconds, max=_LONGEST_PAUSE_SECONDS)(state)


def is_transient(error: BaseException) -> bool:
    """Return whether the same call may succeed within the time that is worth waiting."""
    if isinstance(error, RegistryError) and (error.retry_after_seconds or 0) > MAX_WAIT_SECONDS:
        return False
    return isinstance(error, ImgsyncError) and error.transient and not error.retries_exhausted
