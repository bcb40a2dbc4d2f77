"""React to the first and to later SIGINT and SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Callable

import gevent


def handle_signals(first: Callable[[], None], later: Callable[[], None]) -> Callable[[], None]:
    """
    Call *first* at the first SIGINT or SIGTERM, *later* at others.

    Returns:
        A function that restores the signal handling of before.
    """
    seen = 0

    def handle() -> None:
        nonlocal seen
        seen += 1
        (first if seen == 1 else later)()

    watchers = [gevent.signal_handler(number, handle) for number in (signal.SIGINT, signal.SIGTERM)]

    def undo() -> None:
        for watcher in watchers:
            watcher.cancel()

    return undo
