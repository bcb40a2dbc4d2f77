"""Give up on work that does not end after a stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import gevent

from imgsync.concurrency.capture import catch_error, unwrap
from imgsync.concurrency.stop import Stop
from imgsync.errors import StoppedError

Result = TypeVar("Result")

_POLL_SECONDS = 0.25


def abandon_if_overdue(function: Callable[[], Result], stop: Stop) -> Result:
    """
    Return the result of *function*; give up after the grace period.

    Requests end without help then. A program or library that imgsync waits for may not.

    Raises:
        StoppedError: It was abandoned; what it does from then on is lost.
    """
    greenlet = gevent.spawn(catch_error, function)
    while not greenlet.ready():
        greenlet.join(_POLL_SECONDS)
        if stop.is_overdue and not greenlet.ready():
            raise StoppedError(f"stopped: {stop.reason}")
    result: Result = unwrap(greenlet.get())
    return result
