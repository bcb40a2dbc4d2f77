"""
Let as many requests run in parallel as a registry serves best.

How many that are is in `parallelism`; here requests wait for their slots.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from types import TracebackType

from imgsync.oci.limits.parallelism import Parallelism
from imgsync.oci.limits.waits import Wait, Waits

# Of this many slots, one is kept for requests with small bodies, which must not wait for long transfers.
_SLOTS_PER_RESERVED = 4


class _Waiter(Wait):
    __slots__ = ("number",)

    def __init__(self, number: int, check: Callable[[], None]) -> None:
        super().__init__(check)
        self.number = number


class Slot:
    """The slot of one request, held until its block ends."""

    __slots__ = ("_check", "_is_large", "_limit")

    def __init__(self, limit: AdaptiveLimit, check: Callable[[], None], *, is_large: bool) -> None:
        """Take a slot of *limit* once the block begins."""
        self._limit = limit
        self._check = check
        self._is_large = is_large

    def __enter__(self) -> int:
        """Wait for the slot; return the generation for `note_response`."""
        return self._limit.take(self._check, is_large=self._is_large)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Free the slot."""
        self._limit.release(is_large=self._is_large)


class AdaptiveLimit:
    """
    Slots for parallel requests.

    Greenlets switch only where they wait, so no lock is needed.
    """

    def __init__(self, maximum: int) -> None:
        """Never give more than *maximum* slots."""
        self._parallelism = Parallelism(maximum)
        self._running = 0
        self._running_large = 0
        self._number = itertools.count()
        # Those of large requests, and all others.
        self._waiters: dict[bool, deque[_Waiter]] = {True: deque(), False: deque()}
        self._waits = Waits()

    @property
    def allowed(self) -> int:
        """Return how many requests may run in parallel now."""
        return self._parallelism.allowed

    @property
    def expected(self) -> int:
        """Return how many requests will probably run soon."""
        return self._parallelism.expected

    @property
    def running(self) -> int:
        """Return how many requests are running."""
        return self._running

    def slot(self, check: Callable[[], None], *, is_large: bool = False) -> Slot:
        """
        Return a context that waits for a free slot and holds it.

        It gives the generation to pass to `note_response` or `note_refusal`.

        Args:
            check: Called while waiting; an error that it raises ends the wait.
            is_large: Whether the request may hold its slot for long. Such requests leave some slots free.
        """
        return Slot(self, check, is_large=is_large)

    def take(self, check: Callable[[], None], *, is_large: bool) -> int:
        """Wait for a free slot and take it; return its generation."""
        if self._has_slot(is_large=is_large):
            self._take(is_large=is_large)
        else:
            self._wait(check, is_large=is_large)
        return self._parallelism.generation

    def release(self, *, is_large: bool) -> None:
        """Free a slot; its next user may be waiting."""
        self._running -= 1
        self._running_large -= is_large
        self._start_waiters()

    def note_response(self, generation: int, *, kind: str = "", seconds: float | None = None) -> None:
        """Note that a request was served; the limit may change."""
        self._parallelism.note_response(generation, self._running, kind=kind, seconds=seconds)
        self._start_waiters()

    def note_refusal(self, generation: int) -> None:
        """Halve the limit, once for all requests of one *generation*."""
        self._parallelism.note_refusal(generation, self._running)

    def _has_slot(self, *, is_large: bool) -> bool:
        allowed = self.allowed
        return self._running < allowed and not (is_large and self._running_large >= allowed - allowed // _SLOTS_PER_RESERVED)

    def _take(self, *, is_large: bool) -> None:
        self._running += 1
        self._running_large += is_large

    def _wait(self, check: Callable[[], None], *, is_large: bool) -> None:
        waiters = self._waiters[is_large]
        waiter = _Waiter(next(self._number), check)
        waiters.append(waiter)
        try:
            self._waits.run(waiter)
        except BaseException:
            if waiter in waiters:
                waiters.remove(waiter)
            else:
                self.release(is_large=is_large)
            raise

    def _start_waiters(self) -> None:
        """Give free slots to waiters, first come, first served."""
        if not any(self._waiters.values()):
            return
        while ready := [is_large for is_large, waiters in self._waiters.items() if waiters and self._has_slot(is_large=is_large)]:
            first = min(ready, key=lambda is_large: self._waiters[is_large][0].number)
            self._take(is_large=first)
            self._waiters[first].popleft().end()
