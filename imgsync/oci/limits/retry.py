"""
Retry calls after transient errors.

tenacity computes the pauses. A call whose body cannot be sent again must not be retried here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from imgsync.errors import ImgsyncError, RateLimitedError, RegistryError
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    import tenacity

Result = TypeVar("Result")

_MAX_PAUSE_SECONDS = 60.0
# A registry that asks for a longer wait gets no more requests in this run.
MAX_WAIT_SECONDS = 300.0
_CHECK_SECONDS = 0.25
# 429 does not count as a failed attempt for the first 16 times per call, nor up to 16 times in a row per registry:
# a registry that refuses half of all requests must not fail images.
MAX_REFUSALS = 16


@dataclass(frozen=True, slots=True)
class RetryDetails:
    """A coming retry; `attempt` is the failed one, from 1."""

    operation: str
    reference: str
    attempt: int
    wait_seconds: float
    error: ImgsyncError


def _never_stop() -> None:
    return


def _never_in_grace() -> bool:
    return False


def _ignore_retry(_: RetryDetails) -> None:
    return


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """
    How often and how long one caller retries.

    Attributes:
        attempts: The number of attempts in all; `AttemptCounter` says which failures count.
        interval_seconds: The first pause; it doubles each time, with jitter.
        request_seconds: The longest silence on a connection.
        login_attempts: The number of attempts to get a token.
        check: Called before each attempt, during pauses and in mid-request; an error that it raises ends the call.
        is_in_grace: Whether requests that are on their way may end, although the run stops.
        on_retry: Called before each pause.
    """

    attempts: int = 4
    # The defaults are for callers without a mirror; mirrors set theirs (config/model.py).
    interval_seconds: float = 4.0
    request_seconds: float = 30.0
    login_attempts: int = 2
    check: Callable[[], None] = _never_stop
    is_in_grace: Callable[[], bool] = _never_in_grace
    on_retry: Callable[[RetryDetails], None] = _ignore_retry

    def with_check(self, check: Callable[[], None]) -> RetryPolicy:
        """Return the same policy with another *check*."""
        return replace(self, check=check)

    def check_in_flight(self) -> None:
        """Call `check`, except during the grace period."""
        if not self.is_in_grace():
            self.check()

    def pause(self, seconds: float) -> None:
        """Sleep for *seconds*; call `check` four times a second."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, _CHECK_SECONDS))


class AttemptCounter:
    """
    The attempts that one call has left.

    Up to 16 times, a 429 does not count if the registry serves other requests meanwhile.
    """

    def __init__(self, attempts: int, *, refused_attempts: int | None = None) -> None:
        """Start with *attempts* left, or *refused_attempts* after a 429."""
        self._left = attempts
        self._left_refused = refused_attempts
        self._free_refusals = MAX_REFUSALS

    def count_failure(self, error: BaseException | None) -> bool:
        """Count a failure; return whether no attempt is left."""
        if isinstance(error, RateLimitedError) and error.serves_other_requests and self._free_refusals:
            self._free_refusals -= 1
            return False
        if isinstance(error, RateLimitedError) and self._left_refused is not None:
            self._left_refused -= 1
            return self._left_refused <= 0
        self._left -= 1
        return self._left <= 0


def retry_call(function: Callable[[], Result], retry_policy: RetryPolicy, *, operation: str, reference: object, attempts: int | None = None) -> Result:
    """
    Return `function()`, retried after transient errors.

    Args:
        function: What to call.
        retry_policy: How often and how long to retry.
        operation: Its name, for `on_retry`.
        reference: What it is about, for `on_retry`.
        attempts: The number of attempts, if not the policy's. After a 429 the policy's counts.

    Raises:
        ImgsyncError: The last error, or the first one that is not transient.
    """
    retry_policy.check()
    try:
        # Most calls succeed at once; they do not need tenacity.
        return function()
    except ImgsyncError as error:
        if not is_transient(error):
            error.retries_exhausted = True
            raise
        first_error = error
    pending = [first_error]

    def call() -> Result:
        if pending:
            raise pending.pop()
        return function()

    try:
        counter = AttemptCounter(attempts or retry_policy.attempts, refused_attempts=retry_policy.attempts if attempts else None)
        return _make_retrying(retry_policy, counter, operation, reference)(call)
    except ImgsyncError as error:
        error.retries_exhausted = True
        raise


def _make_retrying(retry_policy: RetryPolicy, counter: AttemptCounter, operation: str, reference: object) -> tenacity.Retrying:
    import tenacity

    def report(state: tenacity.RetryCallState) -> None:
        error = _get_error(state)
        if isinstance(error, ImgsyncError):
            pause_seconds = state.next_action.sleep if state.next_action else 0.0
            retry_policy.on_retry(RetryDetails(operation, str(reference), state.attempt_number, pause_seconds, error))

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_transient),
        stop=lambda state: counter.count_failure(_get_error(state)),
        wait=lambda state: _compute_pause(retry_policy, state, _get_error(state)),
        sleep=retry_policy.pause,
        before=lambda state: retry_policy.check() if state.attempt_number > 1 else None,
        before_sleep=report,
        reraise=True,
    )


def _get_error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def compute_pause_seconds(retry_policy: RetryPolicy, error: ImgsyncError, *, attempt: int) -> float:
    """Return the pause after attempt number *attempt*, from 1, failed with *error*."""
    import tenacity

    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.attempt_number = attempt
    return _compute_pause(retry_policy, state, error)


def _compute_pause(retry_policy: RetryPolicy, state: tenacity.RetryCallState, error: BaseException | None) -> float:
    if isinstance(error, RegistryError) and error.retry_after_seconds is not None:
        return error.retry_after_seconds
    import tenacity

    if isinstance(error, RateLimitedError) and error.serves_other_requests:
        # The pause need not grow: `AdaptiveLimit` already reduces the load.
        return tenacity.wait_random(0, retry_policy.interval_seconds)(state)
    return tenacity.wait_random_exponential(multiplier=retry_policy.interval_seconds, max=_MAX_PAUSE_SECONDS)(state)


def is_transient(error: BaseException) -> bool:
    """Return whether the same call may succeed within five minutes."""
    if isinstance(error, RegistryError) and (error.retry_after_seconds or 0) > MAX_WAIT_SECONDS:
        return False
    return isinstance(error, ImgsyncError) and error.transient and not error.retries_exhausted
