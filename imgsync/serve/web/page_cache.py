"""Pages that were just made, for the next who asks."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from werkzeug.wrappers import Response

from imgsync.serve.clock import Clock

_KEPT_SECONDS = 1.0
_MOST = 32


class PageCache:
    """
    Keeps a page for a second.

    Many clients that ask for the same page cost as much as one: a page of many mirrors takes tens of milliseconds, and others wait for it.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin empty."""
        self._clock = clock
        self._pages: dict[Hashable, tuple[float, Response]] = {}

    def find_or_make(self, key: Hashable, make: Callable[[], Response]) -> Response:
        """Return the page of *key*, made again if too old."""
        begin = self._clock.monotonic() - _KEPT_SECONDS
        # The oldest is the first.
        while self._pages and (len(self._pages) >= _MOST or next(iter(self._pages.values()))[0] <= begin):
            del self._pages[next(iter(self._pages))]
        found = self._pages.get(key)
        if found is not None:
            return found[1]
        page = make()
        # Making it may let others run, and make the same page.
        self._pages.pop(key, None)
        self._pages[key] = (self._clock.monotonic(), page)
        return page
