"""A page is made once a second at most, and none is kept for longer."""

from __future__ import annotations

from werkzeug.wrappers import Response

from imgsync.serve.web.page_cache import PageCache
from tests.support.board import FixedClock


def test_same_page_is_made_once_a_second():
    """Another key is another page."""
    clock = FixedClock()
    cache = PageCache(clock)
    made: list[str] = []

    def make(name: str) -> Response:
        made.append(name)
        return Response(name)

    for _ in range(3):
        cache.find_or_make("a", lambda: make("a"))
    cache.find_or_make("b", lambda: make("b"))
    clock.pass_time(1.1)
    cache.find_or_make("a", lambda: make("a"))

    assert made == ["a", "b", "a"]
    assert len(cache._pages) == 1


def test_few_pages_are_kept():
    """However many are asked for."""
    cache = PageCache(FixedClock())
    for number in range(1000):
        cache.find_or_make(number, Response)

    assert len(cache._pages) <= 32
