"""Work side by side within limits: items run as places free up, results come as they are done."""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import gevent
import gevent.queue

from imgsync.concurrency.greenlets import assert_patched
from imgsync.concurrency.stop import Stop

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOOK_SECONDS = 0.25


def map_unordered(function: Callable[[Item], Result], items: Iterable[Item], *, limit: int) -> Iterator[Result]:
    """
    Yield `function(item)` for each item as it is done, at most *limit* at once; *items* is read as places free up.

    The first error is raised once those already running are done; no further item is started after it.
    """
    workers: Workers[Item, Result] = Workers(function, limit=limit)
    waiting = iter(items)
    for item in itertools.islice(waiting, limit):
        workers.submit(item)
    for result in workers.results():
        yield result
        for item in itertools.islice(waiting, 1):
            workers.submit(item)


class _Produced:
    """Says that a producer has come to its end."""


_LEFT_BEHIND = object()


@dataclass(slots=True)
class _Queue(Generic[Item]):
    """What waits in one queue, and how many of it run, the large ones among them."""

    small: deque[tuple[int, Item]] = field(default_factory=deque)
    large: deque[tuple[int, Item]] = field(default_factory=deque)
    running: int = 0
    running_large: int = 0

    def next(self, limit: int, *, more: bool) -> tuple[Item, bool] | None:
        """Take what is to run next, and whether it is large; None when there is no place, or nothing waits. *more* says that others may still come."""
        if self.running >= limit or not (self.small or self.large):
            return None
        # In order; but as long as small ones wait, or may come, large ones leave them a place.
        first_is_large = bool(self.large) and (not self.small or self.large[0] < self.small[0])
        if first_is_large and (self.small or more) and limit > 1 and self.running_large >= limit - 1:
            return (self.small.popleft()[1], False) if self.small else None
        return (self.large if first_is_large else self.small).popleft()[1], first_is_large


class Workers(Generic[Item, Result]):
    """Runs items as they are handed in, at most *limit* of each queue at once, and gives the results as they come."""

    def __init__(self, function: Callable[[Item], Result], *, limit: int, stop: Stop | None = None) -> None:
        """Begin with nothing to do; after a *stop* is requested nothing more is started."""
        assert_patched()
        self._function = function
        self._limit = limit
        self._stop = stop
        self._queues: defaultdict[Hashable, _Queue[Item]] = defaultdict(_Queue)
        self._results: gevent.queue.SimpleQueue[Any] = gevent.queue.SimpleQueue()
        self._number = itertools.count()
        self._running = 0
        self._producing = 0
        self._coming = 0
        self._failure: BaseException | None = None

    def submit(self, item: Item, *, queue: Hashable = None, large: bool = False) -> None:
        """Run *item* when there is a place in its *queue*; *large* ones leave a place free for others that wait, or may still be produced."""
        waiting = self._queues[queue]
        (waiting.large if large else waiting.small).append((next(self._number), item))
        self._start(waiting)

    def produce(self, function: Callable[[], None]) -> None:
        """Run *function*, which may submit, in a greenlet of its own; its error becomes that of `results`."""

        def work() -> None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - raised in the caller's greenlet
                self._failure = self._failure or error
            self._results.put(_Produced())
            self._coming -= 1
            if not self._coming:
                for queue in list(self._queues.values()):
                    self._start(queue)

        self._producing += 1
        self._coming += 1
        gevent.spawn(work)

    def results(self) -> Iterator[Result]:
        """Yield results one by one, as `batches` does."""
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[Result]]:
        """
        Yield results, those together that are there, until all is done that was handed in, also meanwhile, and all producers have ended.

        The first error is raised once what runs is done. What still runs a second after the stop cut in is left behind, its result unknown.
        """
        while self._running or self._producing:
            first = self._next()
            if first is _LEFT_BEHIND:
                break
            batch = [one for one in (first, *_all_of(self._results)) if self._settled(one)]
            if batch and self._failure is None:
                yield batch
        if self._failure is not None:
            raise self._failure

    def _next(self) -> Any:
        """Return the next that ends, `_LEFT_BEHIND` when what still runs is no longer waited for."""
        while True:
            try:
                return self._results.get(timeout=None if self._stop is None else _LOOK_SECONDS)
            except gevent.queue.Empty:
                if self._stop is not None and self._stop.is_overdue:
                    return _LEFT_BEHIND

    def _settled(self, one: Result | _Produced) -> bool:
        """Count what has ended, and return whether it is a result."""
        if isinstance(one, _Produced):
            self._producing -= 1
            return False
        self._running -= 1
        return True

    def _start(self, queue: _Queue[Item]) -> None:
        while self._failure is None and not (self._stop and self._stop.is_closed):
            taken = queue.next(self._limit, more=self._coming > 0)
            if taken is None:
                return
            queue.running += 1
            queue.running_large += taken[1]
            self._running += 1
            gevent.spawn(self._work, queue, *taken)

    def _work(self, queue: _Queue[Item], item: Item, large: bool) -> None:
        result: Result | None = None
        try:
            result = self._function(item)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's greenlet
            self._failure = self._failure or error
        queue.running -= 1
        queue.running_large -= large
        self._results.put(result)
        self._start(queue)


def _all_of(results: gevent.queue.SimpleQueue[Any]) -> Iterator[Any]:
    """Yield what is there already."""
    with contextlib.suppress(gevent.queue.Empty):
        while True:
            yield results.get_nowait()
