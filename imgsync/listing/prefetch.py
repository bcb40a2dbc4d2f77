"""Fetch known pages in parallel, in order."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Page = TypeVar("Page")

_PARALLEL = 4


def prefetch_pages(fetch: Callable[[str], Page], targets: Iterable[str]) -> Iterator[tuple[str, Page]]:
    """Yield each target with its page; fetch up to four at once."""
    remaining = iter(targets)
    waiting: deque[tuple[str, Future[Page]]] = deque()
    with ThreadPoolExecutor(_PARALLEL) as pool:
        while True:
            for target in itertools.islice(remaining, _PARALLEL - len(waiting)):
                waiting.append((target, pool.submit(fetch, target)))
            if not waiting:
                return
            target, future = waiting.popleft()
            yield target, future.result()
