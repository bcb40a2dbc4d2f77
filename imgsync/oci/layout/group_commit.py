"""Let many callers share one write."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class GroupCommit(Generic[Item]):
    """
    Collects what callers add while a write runs, and writes it together.

    20,000 tags are so some hundred writes of the index, and each caller still returns only once its own part is on disk.
    """

    def __init__(self, write: Callable[[Sequence[Item]], None]) -> None:
        """Write with *write*, one call at a time."""
        self._write = write
        self._lock = threading.Lock()
        self._next = _Batch[Item]()

    def add(self, item: Item) -> None:
        """
        Return once *item* is written.

        Raises:
            Exception: The write of the batch failed.
        """
        # No other caller runs between these two lines, as greenlets change only where they wait.
        batch = self._next
        batch.items.append(item)
        with self._lock:
            if not batch.is_done:
                self._next = _Batch()
                batch.is_done = True
                try:
                    self._write(batch.items)
                except Exception as error:  # noqa: BLE001 - raised for each caller
                    batch.error = error
                except BaseException:
                    # Such as a second SIGINT in this caller: the others must not take their parts for written.
                    batch.error = OSError(errno.EINTR, "the write was interrupted")
                    raise
        if batch.error is not None:
            raise batch.error


class _Batch(Generic[Item]):
    """What is written together."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.is_done = False
        self.error: Exception | None = None
