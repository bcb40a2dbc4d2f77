"""
Greenlets: single flight, stopping, deadlines, timers. Beside `workers`, built on it, the only module that imports gevent.

Nothing here kills a greenlet: one killed inside httpx wedges its connection pool for good (httpcore#1093), so cancelling
is a flag that loops read. Workers return, the caller's greenlet writes.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import gevent
import gevent.event
import gevent.lock
import gevent.monkey
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
_LEFT_BEHIND_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


def _caught(function: Callable[[], Result]) -> Result | _Raised:
    """Return what *function* gives or raises: gevent would print a traceback of its own for what gets out of a greenlet or a thread."""
    try:
        return function()
    except BaseException as error:  # noqa: BLE001 - raised where the result is wanted
        return _Raised(error)


def _given(result: Result | _Raised) -> Result:
    """Return a result of `_caught`, or raise it here."""
    if isinstance(result, _Raised):
        raise result.error
    return result


def assert_patched() -> None:
    """Raise RuntimeError unless sockets cooperate: unpatched, everything would run serially without a word."""
    if not gevent.monkey.is_module_patched("socket"):
        raise RuntimeError("sockets are not patched by gevent; start imgsync through imgsync.__main__")


def both(first: Callable[[], Item], second: Callable[[], Result]) -> tuple[Item, Result]:
    """Return what two functions give that run side by side; an error is raised once both are done, that of *first* before that of *second*."""
    assert_patched()
    beside = gevent.spawn(_caught, first)
    other = _caught(second)
    return _given(beside.get()), _given(other)


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

    def is_running(self, key: Key) -> bool:
        """Return whether somebody is at it."""
        return key in self._flights

    def wait(self, key: Key) -> None:
        """Wait for the end, good or bad, of what runs for *key*, if anything does."""
        flight = self._flights.get(key)
        if flight is not None:
            flight.wait()


class Stop:
    """
    A stop asked for from outside: first no new work (`requested`), then an end to what runs (`cut`).

    When the time is up (`expire`) nothing new is started either, but what only finds out what is left goes on until the cut.
    """

    def __init__(self) -> None:
        """Begin with nothing asked."""
        self.reason = ""
        self.cut = False
        # Whether somebody wanted it, rather than the clock.
        self.by_hand = False
        self._expired = False
        self._cut_at: float | None = None
        self._event = gevent.event.Event()

    @property
    def requested(self) -> bool:
        """Return whether no new work may begin."""
        return bool(self._event.is_set())

    def request(self, reason: str, *, grace_seconds: float | None = None, by_hand: bool = False) -> None:
        """Ask that nothing new begins; after *grace_seconds* (if given) also that running work ends; *by_hand* says that somebody wants it."""
        self.reason = self.reason or reason
        self.by_hand = self.by_hand or by_hand
        self._event.set()
        if grace_seconds is not None:
            gevent.spawn_later(grace_seconds, self._cut)

    def expire(self, reason: str, *, grace_seconds: float | None = None) -> None:
        """Let nothing new be started; after *grace_seconds* (if given) also end what runs."""
        self.reason = self.reason or reason
        self._expired = True
        if grace_seconds is not None:
            gevent.spawn_later(grace_seconds, self._cut)

    @property
    def closed(self) -> bool:
        """Return whether nothing new may be started, be it that a stop was requested or that the time is up."""
        return self._expired or self.requested

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
        self._cut_at = self._cut_at or time.monotonic()
        self._event.set()


class Deadline:
    """A limit in seconds that loops ask about, together with a stop that may come from outside."""

    def __init__(self, seconds: float | None, *, stop: Stop | None = None, what: str = "the image", hint: str = "raise timeouts.image") -> None:
        """Begin counting now; None is no limit. *hint* says what to do when it was too short."""
        self._hint = hint
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
            raise StoppedError(f"{self._what} took longer than {self._seconds:g}s", hint=self._hint)


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


def spawn(function: Callable[[], None]) -> None:
    """Run *function* beside the caller; it must see to its own errors and end by itself."""
    gevent.spawn(function)


class NativeThread:
    """One native thread for calls that block the loop, such as SQLite's."""

    def __init__(self) -> None:
        """Begin; the thread starts with its first call."""
        self._pool = gevent.threadpool.ThreadPool(1)

    def run(self, function: Callable[[], Result]) -> Result:
        """Return `function()` as run in the thread, other greenlets going on meanwhile; what it raises is raised here."""
        result: Result | _Raised = self._pool.spawn(_caught, function).get()
        return _given(result)

    def close(self) -> None:
        """End the thread once its calls are done."""
        self._pool.join()
        self._pool.kill()


def in_thread(function: Callable[[], Result]) -> Result:
    """Return `function()` as run in a native thread made for it, other greenlets going on meanwhile; what it raises is raised here."""
    thread = NativeThread()
    try:
        return thread.run(function)
    finally:
        thread.close()


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
