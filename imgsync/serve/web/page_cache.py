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
        now = self._clock.monotonic()
        made_at, page = self._pages.get(key, (0.0, None))
        if page is not None and now - made_at < _KEPT_SECONDS:
            return page
        self._pages.pop(key, None)
        page = make()
        while len(self._pages) >= _MOST:
            del self._pages[next(iter(self._pages))]
        self._pages[key] = (now, page)
        return page
