"""Pages that are known to come are asked for before they are needed, a few at a time, and given in order."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Page = TypeVar("Page")

_AT_ONCE = 4


def prefetch_pages(fetch: Callable[[str], Page], targets: Iterable[str]) -> Iterator[tuple[str, Page]]:
    """Yield each of *targets* with `fetch(target)`, in order, up to four being fetched at once; an error is raised where its page would come."""
    todo = iter(targets)
    waiting: deque[tuple[str, Future[Page]]] = deque()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while True:
            for target in itertools.islice(todo, _AT_ONCE - len(waiting)):
                waiting.append((target, pool.submit(fetch, target)))
            if not waiting:
                return
            target, future = waiting.popleft()
            yield target, future.result()
