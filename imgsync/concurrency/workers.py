"""Run items in parallel, within limits, and yield results as they come."""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import field
from typing import Generic, TypeVar

import gevent
import gevent.event

from imgsync.concurrency.greenlets import assert_patched
from imgsync.concurrency.stop import Stop
from imgsync.system.dataclass import dataclass

Item = TypeVar("Item")
Result = TypeVar("Result")

_STOP_POLL_SECONDS = 0.25
# This many large items may run, even if they weigh more together.
_LARGE_AT_ONCE = 4


def map_unordered(function: Callable[[Item], Result], items: Iterable[Item], *, limit: int) -> Iterator[Result]:
    """
    Yield `function(item)` as each ends, at most *limit* at once.

    Reads *items* as places become free. After an error starts nothing more, and raises it once running items ended.
    """
    workers: Workers[Item, Result] = Workers(function, limit=limit)
    waiting = iter(items)
    for item in itertools.islice(waiting, limit):
        workers.submit(item)
    for result in workers.results():
        yield result
        for item in itertools.islice(waiting, 1):
            workers.submit(item)


@dataclass(slots=True)
class _Queue(Generic[Item]):
    """The waiting items of one queue, and how many run."""

    limit: int
    small: deque[tuple[int, Item, int]] = field(default_factory=deque)
    large: deque[tuple[int, Item, int]] = field(default_factory=deque)
    running: int = 0
    running_large: int = 0
    running_weight: int = 0

    def take(self, max_weight: int, *, more_may_come: bool) -> tuple[Item, int] | None:
        """Take the next item and its weight, if one may start."""
        if self.running >= self.limit or not (self.small or self.large):
            return None
        # First come, first served, if it may start.
        first_is_large = bool(self.large) and (not self.small or self.large[0] < self.small[0])
        if first_is_large and not self._may_start_large(max_weight, more_may_come=more_may_come):
            if not self.small:
                return None
            first_is_large = False
        _, item, weight = (self.large if first_is_large else self.small).popleft()
        self.count(1, weight)
        return item, weight

    def count(self, items: int, weight: int) -> None:
        """Count an item of *weight* that starts (1) or has ended (-1)."""
        self.running += items
        self.running_large += items if weight else 0
        self.running_weight += items * weight

    def _may_start_large(self, max_weight: int, *, more_may_come: bool) -> bool:
        # Large items leave one place free as long as small ones wait or may come.
        is_place_left = self.limit == 1 or self.running_large < self.limit - 1 or not (self.small or more_may_come)
        return is_place_left and (self.running_large < _LARGE_AT_ONCE or self.running_weight + self.large[0][2] <= max_weight)


class Workers(Generic[Item, Result]):
    """Runs submitted items, at most *limit* of each queue at once."""

    def __init__(self, function: Callable[[Item], Result], *, limit: int, max_weight: int = sys.maxsize, stop: Stop | None = None) -> None:
        """
        Begin with nothing to do; start nothing once *stop* is closed.

        Args:
            function: Runs one item.
            limit: The most items of one queue at once.
            max_weight: What large items may weigh together; some may run even if they weigh more.
            stop: Ends the work.
        """
        assert_patched()
        self._function = function
        self._limit = limit
        self._max_weight = max_weight
        self._stop = stop
        self._queues: dict[Hashable, _Queue[Item]] = {}
        self._results: list[Result] = []
        # Set after a result, and once nothing runs; in `join` only then.
        self._changed = gevent.event.Event()
        self._is_joined = False
        self._number = itertools.count()
        self._running_items = 0
        self._running_producers = 0
        self._failure: BaseException | None = None

    def submit(self, item: Item, *, queue: Hashable = None, limit: int | None = None, weight: int = 0) -> None:
        """
        Run *item* once its *queue* has a free place.

        Args:
            item: What to run.
            queue: Items of different queues do not wait for each other.
            limit: The most items of this queue at once, if not the common limit.
            weight: Items with one are large: they leave a place free for small ones that wait, or that a producer may still submit.
        """
        waiting = self._queues.get(queue)
        if waiting is None:
            waiting = self._queues[queue] = _Queue(self._limit if limit is None else limit)
        (waiting.large if weight else waiting.small).append((next(self._number), item, weight))
        self._start(waiting)

    @property
    def waiting_count(self) -> int:
        """Return how many results `batches` has not yielded yet."""
        return len(self._results)

    def deliver(self, result: Result) -> None:
        """Yield *result* from `batches`; work elsewhere came to it."""
        self._results.append(result)
        self._changed.set()

    def run(self, item: Item) -> None:
        """Run *item* in the caller's greenlet, as if submitted."""
        try:
            result = self._function(item)
        except BaseException as error:  # noqa: BLE001 - raised in the greenlet that waits
            self._failure = self._failure or error
        else:
            # `batches` may have taken the list meanwhile.
            self._results.append(result)

    def produce(self, function: Callable[[], None]) -> None:
        """Run *function*, which may submit, in a greenlet; `results` raises its error."""

        def work() -> None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - raised in the caller's greenlet
                self._failure = self._failure or error
            self._running_producers -= 1
            if not self._running_producers:
                for queue in list(self._queues.values()):
                    self._start(queue)
            self._changed.set()

        self._running_producers += 1
        gevent.spawn_raw(work)

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
        while self._results or self._is_running:
            if not (self._results or self._wait()):
                break
            batch, self._results = self._results, []
            if batch and self._failure is None:
                yield batch
        if self._failure is not None:
            raise self._failure

    def join(self) -> None:
        """
        Wait until all items ended, without their results.

        Raises the first error once running items ended.
        """
        self._is_joined = True
        while self._is_running:
            self._wait()
        if self._failure is not None:
            raise self._failure

    @property
    def _is_running(self) -> bool:
        return self._running_items > 0 or self._running_producers > 0

    def _wait(self) -> bool:
        """Wait for a change; return False once the stop is overdue."""
        self._changed.clear()
        while not self._changed.wait(None if self._stop is None else _STOP_POLL_SECONDS):
            if self._stop is not None and self._stop.is_overdue:
                return False
        return True

    def _start(self, queue: _Queue[Item]) -> None:
        """Start waiting items of *queue* while it has free places."""
        while self._failure is None and not (self._stop and self._stop.is_closed):
            taken = queue.take(self._max_weight, more_may_come=self._running_producers > 0)
            if taken is None:
                return
            self._running_items += 1
            gevent.spawn_raw(self._work, queue, *taken)

    def _work(self, queue: _Queue[Item], item: Item, weight: int) -> None:
        """Run one item, then start the next of its queue."""
        self.run(item)
        queue.count(-1, weight)
        self._start(queue)
        self._running_items -= 1
        if not (self._is_joined and self._running_items):
            self._changed.set()
