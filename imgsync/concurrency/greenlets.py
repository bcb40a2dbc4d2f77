"""
Greenlets: single flight, stopping, deadlines, timers. Beside `workers`, built on it, the only module that imports gevent.

Nothing here kills a greenlet: one killed inside httpx wedges its connection pool for good (httpcore#1093), so cancelling
is a flag that loops read. Workers return, the caller's greenlet writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import gevent
import gevent.event
import gevent.lock
import gevent.monkey
import gevent.threadpool

Item = TypeVar("Item")
Result = TypeVar("Result")

Semaphore = gevent.lock.BoundedSemaphore
Event = gevent.event.Event
sleep = gevent.sleep
spawn_later = gevent.spawn_later


@dataclass(frozen=True, slots=True)
class Raised:
    """An error to raise again in the greenlet that asked."""

    error: BaseException


def catch_error(function: Callable[[], Result]) -> Result | Raised:
    """Return what *function* gives or raises: gevent would print a traceback of its own for what gets out of a greenlet or a thread."""
    try:
        return function()
    except BaseException as error:  # noqa: BLE001 - raised where the result is wanted
        return Raised(error)


def unwrap(result: Result | Raised) -> Result:
    """Return a result of `catch_error`, or raise it here."""
    if isinstance(result, Raised):
        raise result.error
    return result


def assert_patched() -> None:
    """Raise RuntimeError unless sockets cooperate: unpatched, everything would run serially without a word."""
    if not gevent.monkey.is_module_patched("socket"):
        raise RuntimeError("sockets are not patched by gevent; start imgsync through imgsync.__main__")


def both(first: Callable[[], Item], second: Callable[[], Result]) -> tuple[Item, Result]:
    """Return what two functions give that run side by side; an error is raised once both are done, that of *first* before that of *second*."""
    assert_patched()
    beside = gevent.spawn(catch_error, first)
    other = catch_error(second)
    return unwrap(beside.get()), unwrap(other)


def spawn(function: Callable[[], None]) -> None:
    """Run *function* beside the caller; it must see to its own errors and end by itself."""
    gevent.spawn(function)


def every(seconds: float, function: Callable[[], None]) -> Callable[[], None]:
    """Call *function* each *seconds* until the returned callable is called."""
    done = gevent.event.Event()

    def tick() -> None:
        while not done.wait(seconds):
            function()

    def stop() -> None:
        done.set()

    gevent.spawn(tick)
    return stop
