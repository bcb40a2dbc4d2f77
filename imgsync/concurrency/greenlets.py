"""
Start functions beside the caller, in greenlets.

Only this package imports gevent. It never kills a greenlet: one killed inside httpx wedges its connection pool
(httpcore#1093), so work ends when its loop reads a flag (`stop`, `deadline`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import gevent
import gevent.event
import gevent.lock
import gevent.monkey

from imgsync.concurrency.capture import catch_error, unwrap

First = TypeVar("First")
Second = TypeVar("Second")
Value = TypeVar("Value")

Event = gevent.event.Event
Semaphore = gevent.lock.BoundedSemaphore
spawn_later = gevent.spawn_later


def assert_patched() -> None:
    """Raise RuntimeError unless gevent patched the sockets."""
    # Unpatched, everything would run one after the other, without any message.
    if not gevent.monkey.is_module_patched("socket"):
        raise RuntimeError("sockets are not patched by gevent; start imgsync through imgsync.__main__")


def spawn(function: Callable[[], None]) -> None:
    """Run *function* in a greenlet; it must catch its own errors."""
    gevent.spawn(function)


def pause(seconds: float) -> None:
    """Let other greenlets run for *seconds*."""
    gevent.sleep(seconds)


def breathe(values: Iterable[Value], *, every: int = 256) -> Iterator[Value]:
    """Yield *values*, and let other greenlets run now and then."""
    for number, value in enumerate(values, 1):
        yield value
        if number % every == 0:
            gevent.sleep(0)


def run_both(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Run two functions in parallel; return results once both ended."""
    assert_patched()
    greenlet = gevent.spawn(catch_error, first)
    other = catch_error(second)
    return unwrap(greenlet.get()), unwrap(other)


def call_every(seconds: float, function: Callable[[], None]) -> Callable[[], None]:
    """Call *function* every *seconds* until the returned function is called."""
    done = gevent.event.Event()

    def tick() -> None:
        while not done.wait(seconds):
            function()

    gevent.spawn(tick)
    return done.set  # type: ignore[no-any-return]
