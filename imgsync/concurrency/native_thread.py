"""Run blocking calls in a native thread while greenlets continue."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import gevent.threadpool

from imgsync.concurrency.capture import Raised, catch_error, unwrap

Result = TypeVar("Result")


class NativeThread:
    """One native thread, or several, for calls that block, such as SQLite's."""

    def __init__(self, count: int = 1) -> None:
        """Prepare *count* threads; they start with their first calls."""
        self._pool = gevent.threadpool.ThreadPool(count)

    def run(self, function: Callable[[], Result]) -> Result:
        """Run *function* in a thread; return its result or raise its error."""
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
