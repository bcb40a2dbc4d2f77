"""React to SIGINT and SIGTERM, first and later, and to SIGHUP."""

from __future__ import annotations

import signal
from collections.abc import Callable

import gevent
import gevent.event

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def handle_signals(first: Callable[[], None], later: Callable[[], None]) -> Callable[[], None]:
    """
    Call *first* at the first SIGINT or SIGTERM, *later* at others.

    Returns:
        A function that restores the signal handling of before. After a first signal, the next one still calls *later*.
    """
    seen = 0
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def handle() -> None:
        nonlocal seen
        seen += 1
        (first if seen == 1 else later)()

    watchers = [gevent.signal_handler(number, handle) for number in _SIGNALS]

    def undo() -> None:
        for watcher in watchers:
            watcher.cancel()
        # libev leaves the default action, which the kernel drops for process 1.
        for number, handler in before.items():
            signal.signal(number, (handler or signal.SIG_DFL) if not seen else lambda *_: later())

    return undo


def handle_hangup(function: Callable[[], None]) -> Callable[[], None]:
    """Call *function* at each SIGHUP; return a function that ends this."""
    watcher = gevent.signal_handler(signal.SIGHUP, function)

    def undo() -> None:
        watcher.cancel()
        # libev leaves the default action, which would end the process.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    return undo


def expect_signal() -> Callable[[], None]:
    """Return a function that waits until SIGINT or SIGTERM has come."""
    came = gevent.event.Event()
    handle_signals(came.set, came.set)

    def wait() -> None:
        came.wait()

    return wait
