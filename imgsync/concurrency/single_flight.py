"""Run the work of one key once at a time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import gevent.event

Key = TypeVar("Key", bound=Hashable)


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
