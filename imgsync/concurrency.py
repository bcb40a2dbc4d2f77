"""
Greenlets: bounded parallel work, single flight, stopping, timers. The only module that imports gevent.

Nothing here kills a greenlet: one killed inside httpx wedges its connection pool for good (httpcore#1093), so cancelling
is a flag that loops read. Workers return, the caller's greenlet writes.
"""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import gevent
import gevent.event
import gevent.lock
import gevent.monkey
import gevent.pool
import gevent.queue
import gevent.threadpool

from imgsync.errors import StoppedError

Item = TypeVar("Item")
Result = TypeVar("Result")
Key = TypeVar("Key", bound=Hashable)

Semaphore = gevent.lock.BoundedSemaphore
Event = gevent.event.Event
sleep = gevent.sleep
spawn_later = gevent.spawn_later

_MEBIBYTE = 1 << 20
_LOOK_SECONDS = 0.25
_LEFT_BEHIND_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


def assert_patched() -> None:
    """Raise RuntimeError unless sockets cooperate: unpatched, everything would run serially without a word."""
    if not gevent.monkey.is_module_patched("socket"):
        raise RuntimeError("sockets are not patched by gevent; start imgsync through imgsync.__main__")


def map_unordered(function: Callable[[Item], Result], items: Iterable[Item], *, limit: int, stop: Stop | None = None) -> Iterator[Result]:
    """
    Yield `function(item)` for each item as it is done, at most *limit* at once; *items* is read as places free up.

    The first error is raised once those already running are done; no further item is started after it, nor after a
    *stop* is requested. What still runs a second after the stop cut in is left behind, its result unknown.
    """
    assert_patched()
    waiting = iter(items)
    results: gevent.queue.SimpleQueue[Result | _Raised] = gevent.queue.SimpleQueue()
    failure: BaseException | None = None
    running = _start(function, waiting, results, limit)
    while running:
        result = _next(results, stop)
        if isinstance(result, _LeftBehind):
            break
        running -= 1
        if isinstance(result, _Raised):
            failure = failure or result.error
        elif failure is None:
            yield result
        if failure is None and not (stop and stop.requested):
            running += _start(function, waiting, results, limit - running)
    if failure is not None:
        raise failure


class _LeftBehind:
    """Says that what still runs is no longer waited for."""


def _start(function: Callable[[Item], Result], waiting: Iterator[Item], results: gevent.queue.SimpleQueue[Result | _Raised], places: int) -> int:
    """Start up to *places* items, each to put its result, and return how many there were."""

    def work(item: Item) -> None:
        try:
            results.put(function(item))
        except BaseException as error:  # noqa: BLE001 - handed to the caller's greenlet and raised there
            results.put(_Raised(error))

    started = 0
    for item in itertools.islice(waiting, places):
        gevent.spawn(work, item)
        started += 1
    return started


def _next(results: gevent.queue.SimpleQueue[Result | _Raised], stop: Stop | None) -> Result | _Raised | _LeftBehind:
    while True:
        try:
            found: Result | _Raised = results.get(timeout=None if stop is None else _LOOK_SECONDS)
        except gevent.queue.Empty:
            if stop is not None and stop.abandons:
                return _LeftBehind()
        else:
            return found


class SingleFlight(Generic[Key]):
    """Lets the work of one key run once at a time: who comes while it runs waits for its end."""

    def __init__(self) -> None:
        """Begin with nothing in flight."""
        self._flights: dict[Key, gevent.event.Event] = {}

    def run(self, key: Key, work: Callable[[], object]) -> bool:
        """Do *work* and return True; or, when somebody is at it, wait for the end, good or bad, and return False."""
        flight = self._flights.get(key)
        if flight is not None:
            flight.wait()
            return False
        flight = self._flights[key] = gevent.event.Event()
        try:
            work()
            return True
        finally:
            del self._flights[key]
            flight.set()


class Stop:
    """A stop asked for from outside: first no new work (`requested`), then an end to what runs (`cut`)."""

    def __init__(self) -> None:
        """Begin with nothing asked."""
        self.reason = ""
        self.cut = False
        self._cut_at: float | None = None
        self._event = gevent.event.Event()

    @property
    def requested(self) -> bool:
        """Return whether no new work may begin."""
        return bool(self._event.is_set())

    def request(self, reason: str, *, grace_seconds: float | None = None) -> None:
        """Ask that nothing new begins; after *grace_seconds* (if given) also that running work ends."""
        self.reason = self.reason or reason
        self._event.set()
        if grace_seconds is not None:
            gevent.spawn_later(grace_seconds, self._cut)

    def wait(self, seconds: float) -> bool:
        """Sleep up to *seconds* and return whether a stop was asked meanwhile."""
        return bool(self._event.wait(seconds))

    @property
    def abandons(self) -> bool:
        """Return whether what runs had its second to see the cut, and is no longer waited for."""
        return self._cut_at is not None and time.monotonic() - self._cut_at > _LEFT_BEHIND_SECONDS

    def check_new(self) -> None:
        """
        Return when new work may begin.

        Raises:
            StoppedError: A stop was requested.
        """
        if self.requested:
            raise StoppedError(f"stopped: {self.reason}")

    def _cut(self) -> None:
        self.cut = True
        self._cut_at = time.monotonic()


class Deadline:
    """A limit in seconds that loops ask about, together with a stop that may come from outside."""

    def __init__(self, seconds: float | None, *, stop: Stop | None = None, what: str = "the image") -> None:
        """Begin counting now; None is no limit."""
        self._ends = None if seconds is None else time.monotonic() + seconds
        self._seconds = seconds
        self._stop = stop
        self._what = what

    def check(self) -> None:
        """
        Return when there is time left.

        Raises:
            StoppedError: The limit is reached, or the run is being cut.
        """
        if self._stop is not None and self._stop.cut:
            raise StoppedError(f"stopped: {self._stop.reason}")
        if self._ends is not None and time.monotonic() > self._ends:
            raise StoppedError(f"{self._what} took longer than {self._seconds:g}s", hint="raise timeouts.image")


def paced(chunks: Iterable[bytes], *, deadline: Deadline, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    """Yield *chunks*, asking the deadline for each, counting, and letting others run after each MiB."""
    since = 0
    for chunk in chunks:
        deadline.check()
        yield chunk
        on_bytes(len(chunk))
        since += len(chunk)
        if since >= _MEBIBYTE:
            since = 0
            # A real timer: sleep(0) runs in the same round of the loop and starves the others.
            gevent.sleep(1e-6)


class NativeThread:
    """One native thread for calls that block the loop, such as SQLite's."""

    def __init__(self) -> None:
        """Begin; the thread starts with its first call."""
        self._pool = gevent.threadpool.ThreadPool(1)

    def run(self, function: Callable[[], Result]) -> Result:
        """Return `function()` as run in the thread, other greenlets going on meanwhile; what it raises is raised here."""

        def work() -> Result | _Raised:
            # gevent would print a traceback of its own for what gets out of the thread.
            try:
                return function()
            except BaseException as error:  # noqa: BLE001 - raised in the caller's greenlet
                return _Raised(error)

        result: Result | _Raised = self._pool.spawn(work).get()
        if isinstance(result, _Raised):
            raise result.error
        return result

    def close(self) -> None:
        """End the thread once its calls are done."""
        self._pool.join()
        self._pool.kill()


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


def on_signals(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    """Call *first* at the first SIGINT or SIGTERM, *second* at any later one; the returned callable undoes it."""
    seen = 0

    def handle() -> None:
        nonlocal seen
        seen += 1
        (first if seen == 1 else second)()

    watchers = [gevent.signal_handler(number, handle) for number in (signal.SIGINT, signal.SIGTERM)]

    def undo() -> None:
        for watcher in watchers:
            watcher.cancel()

    return undo
