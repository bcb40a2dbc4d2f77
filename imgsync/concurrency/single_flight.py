"""Run the work of one key once at a time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import gevent.event

Key = TypeVar("Key", bound=Hashable)


class SingleFlight(Generic[Key]):
    """Runs one piece of work per key at a time; others wait."""

    def __init__(self) -> None:
        """Begin with nothing in flight."""
        # An event only where someone waits.
        self._flights: dict[Key, gevent.event.Event | None] = {}

    def run(self, key: Key, work: Callable[[], object]) -> bool:
        """Run *work* and return True, or await running work and return False."""
        if key in self._flights:
            self.wait(key)
            return False
        self._flights[key] = None
        try:
            work()
            return True
        finally:
            awaited = self._flights.pop(key)
            if awaited is not None:
                awaited.set()

    def is_running(self, key: Key) -> bool:
        """Return whether work of *key* runs."""
        return key in self._flights

    def wait(self, key: Key) -> None:
        """Wait until work of *key* ended, successful or not."""
        if key in self._flights:
            awaited = self._flights[key] = self._flights[key] or gevent.event.Event()
            awaited.wait()
