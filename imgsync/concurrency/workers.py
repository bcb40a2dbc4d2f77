"""Run items in parallel, within limits, and yield results as they come."""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import field
from typing import Any, Generic, TypeVar

import gevent
import gevent.queue

from imgsync.concurrency.greenlets import assert_patched
from imgsync.concurrency.stop import Stop
from imgsync.system.dataclass import dataclass

Item = TypeVar("Item")
Result = TypeVar("Result")

_STOP_POLL_SECONDS = 0.25


def map_unordered(function: Callable[[Item], Result], items: Iterable[Item], *, limit: int | Callable[[], int]) -> Iterator[Result]:
    """
    Yield `function(item)` as each ends, at most *limit* at once.

    Reads *items* as places become free; *limit* may change meanwhile. After an error starts nothing more, and raises it once running items ended.
    """
    workers: Workers[Item, Result] = Workers(function, limit=limit)
    waiting = iter(items)
    running = 0

    def fill() -> None:
        nonlocal running
        for item in itertools.islice(waiting, max(0, workers.limit - running)):
            running += 1
            workers.submit(item)

    fill()
    for result in workers.results():
        running -= 1
        yield result
        fill()


class _ProducerEnded:
    """Stands among the results for a producer that ended."""


_ABANDONED = object()


@dataclass(slots=True)
class _Queue(Generic[Item]):
    """The waiting items of one queue, and how many run."""

    small: deque[tuple[int, Item]] = field(default_factory=deque)
    large: deque[tuple[int, Item]] = field(default_factory=deque)
    running: int = 0
    running_large: int = 0

    def take(self, limit: int, *, more_may_come: bool) -> tuple[Item, bool] | None:
        """Take the next item and whether it is large, if any."""
        if self.running >= limit or not (self.small or self.large):
            return None
        # First come, first served; but large items leave one place free as long as small ones wait or may come.
        first_is_large = bool(self.large) and (not self.small or self.large[0] < self.small[0])
        if first_is_large and (self.small or more_may_come) and limit > 1 and self.running_large >= limit - 1:
            return (self.small.popleft()[1], False) if self.small else None
        return (self.large if first_is_large else self.small).popleft()[1], first_is_large


class Workers(Generic[Item, Result]):
    """Runs submitted items, at most *limit* of each queue at once."""

    def __init__(self, function: Callable[[Item], Result], *, limit: int | Callable[[], int], stop: Stop | None = None) -> None:
        """Begin with nothing to do; start nothing once *stop* is closed."""
        assert_patched()
        self._function = function
        self._limit = limit
        self._stop = stop
        self._queues: defaultdict[Hashable, _Queue[Item]] = defaultdict(_Queue)
        self._results: gevent.queue.SimpleQueue[Any] = gevent.queue.SimpleQueue()
        self._number = itertools.count()
        # Items and producers that `batches` still awaits, and producers that may still submit.
        self._awaited_items = 0
        self._awaited_producers = 0
        self._running_producers = 0
        self._failure: BaseException | None = None

    @property
    def limit(self) -> int:
        """Return how many items of a queue may run now."""
        return self._limit if isinstance(self._limit, int) else self._limit()

    def submit(self, item: Item, *, queue: Hashable = None, large: bool = False) -> None:
        """
        Run *item* once its *queue* has a free place.

        Large items leave one place free for small ones that wait, or that a producer may still submit.
        """
        waiting = self._queues[queue]
        (waiting.large if large else waiting.small).append((next(self._number), item))
        self._start(waiting)

    def produce(self, function: Callable[[], None]) -> None:
        """Run *function*, which may submit, in a greenlet; `results` raises its error."""

        def work() -> None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - raised in the caller's greenlet
                self._failure = self._failure or error
            self._results.put(_ProducerEnded())
            self._running_producers -= 1
            if not self._running_producers:
                for queue in list(self._queues.values()):
                    self._start(queue)

        self._awaited_producers += 1
        self._running_producers += 1
        gevent.spawn(work)

    def results(self) -> Iterator[Result]:
        """Yield results one by one; otherwise as `batches`."""
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[Result]]:
        """
        Yield available results together, until all items and producers ended.

        Items may be submitted meanwhile. Raises the first error once running items ended. Abandons items that still run
        when the grace period after cancelling is over; their results are lost.
        """
        while self._awaited_items or self._awaited_producers:
            first = self._wait_for_result()
            if first is _ABANDONED:
                break
            batch = [result for result in (first, *_drain(self._results)) if self._is_item_result(result)]
            if batch and self._failure is None:
                yield batch
        if self._failure is not None:
            raise self._failure

    def _wait_for_result(self) -> Any:
        """Return the next result, or `_ABANDONED` once the stop is overdue."""
        while True:
            try:
                return self._results.get(timeout=None if self._stop is None else _STOP_POLL_SECONDS)
            except gevent.queue.Empty:
                if self._stop is not None and self._stop.is_overdue:
                    return _ABANDONED

    def _is_item_result(self, result: Result | _ProducerEnded) -> bool:
        """Count what ended; return whether it is the result of an item."""
        if isinstance(result, _ProducerEnded):
            self._awaited_producers -= 1
            return False
        self._awaited_items -= 1
        return True

    def _start(self, queue: _Queue[Item]) -> None:
        """Start waiting items of *queue* while it has free places."""
        while self._failure is None and not (self._stop and self._stop.is_closed):
            taken = queue.take(self.limit, more_may_come=self._running_producers > 0)
            if taken is None:
                return
            queue.running += 1
            queue.running_large += taken[1]
            self._awaited_items += 1
            gevent.spawn(self._work, queue, *taken)

    def _work(self, queue: _Queue[Item], item: Item, large: bool) -> None:
        """Run one item, then start the next of its queue."""
        result: Result | None = None
        try:
            result = self._function(item)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's greenlet
            self._failure = self._failure or error
        queue.running -= 1
        queue.running_large -= large
        self._results.put(result)
        self._start(queue)


def _drain(results: gevent.queue.SimpleQueue[Any]) -> Iterator[Any]:
    """Yield the results that are there, without waiting."""
    with contextlib.suppress(gevent.queue.Empty):
        while True:
            yield results.get_nowait()
