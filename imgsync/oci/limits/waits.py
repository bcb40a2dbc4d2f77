"""
Let callers wait, and end the waits whose check fails.

One thread checks all waits: with a timer for each, hundreds of them cost more than the requests that they wait for.
"""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable

_CHECK_SECONDS = 0.25


class Wait:
    """
    A wait of one caller.

    `end` ends it, and so does an error of its check.
    """

    __slots__ = ("_has_ended", "_lock", "check", "error")

    def __init__(self, check: Callable[[], None]) -> None:
        """Begin; *check* is called about four times a second."""
        self.check = check
        self.error: BaseException | None = None
        self._has_ended = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def end(self) -> None:
        """Let the caller continue."""
        if not self._has_ended:
            self._has_ended = True
            self._lock.release()

    def await_end(self) -> None:
        """Return once `end` was called."""
        self._lock.acquire()


class Waits:
    """The waits for one thing that is scarce."""

    def __init__(self) -> None:
        """Begin without any."""
        self._running: dict[Wait, None] = {}
        self._is_checking = False

    def run(self, wait: Wait) -> None:
        """
        Return once *wait* has ended.

        Raises the error of its check.
        """
        wait.check()
        self._running[wait] = None
        try:
            if not self._is_checking:
                self._is_checking = True
                # `Thread.start` waits for the thread, and other callers would run before this one.
                _thread.start_new_thread(self._check, ())
            wait.await_end()
        finally:
            del self._running[wait]
        if wait.error is not None:
            raise wait.error

    def _check(self) -> None:
        """Check the waits until there are none any more."""
        while self._running:
            time.sleep(_CHECK_SECONDS)
            for wait in list(self._running):
                try:
                    wait.check()
                except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
                    wait.error = error
                    wait.end()
        self._is_checking = False
