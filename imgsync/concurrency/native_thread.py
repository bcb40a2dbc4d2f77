"""Run blocking calls in a native thread while greenlets continue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import gevent.event
import gevent.threadpool

from imgsync.concurrency.capture import Raised, catch_error, unwrap

Result = TypeVar("Result")
Step = TypeVar("Step")


class NativeThread:
    """
    One native thread, or several, for calls that block, such as SQLite's.

    Calls of one thread run in the order in which they come: of two that write the same, the later one counts.
    """

    def __init__(self, count: int = 1) -> None:
        """Prepare *count* threads; they start with their first calls."""
        self._pool = gevent.threadpool.ThreadPool(count)
        self._is_ordered = count == 1
        # Set at the end of the call that came last.
        self._last: gevent.event.Event | None = None

    def run(self, function: Callable[[], Result]) -> Result:
        """Run *function* in a thread; return its result or raise its error."""
        if not self._is_ordered:
            return self._run(function)
        # The pool lets a new call overtake those that wait.
        before, self._last = self._last, gevent.event.Event()
        ended = self._last
        try:
            if before is not None:
                before.wait()
            return self._run(function)
        finally:
            ended.set()
            if self._last is ended:
                self._last = None

    def run_steps(self, steps: Iterator[Step], take: Callable[[Step], None] | None = None) -> None:
        """
        Run *steps* in a thread; pass what they yield to *take*.

        *take* runs in the caller. Other calls get their turn between two steps.
        """
        end = object()
        while (found := self.run(partial(next, steps, end))) is not end:
            if take is not None:
                take(found)

    def _run(self, function: Callable[[], Result]) -> Result:
        result: Result | Raised = self._pool.spawn(catch_error, function).get()
        return unwrap(result)

    def close(self) -> None:
        """End the threads once their calls are done."""
        self._pool.join()
        self._pool.kill()


def run_in_thread(function: Callable[[], Result]) -> Result:
    """Run *function* in a native thread of its own; return its result."""
    thread = NativeThread()
    try:
        return thread.run(function)
    finally:
        thread.close()
