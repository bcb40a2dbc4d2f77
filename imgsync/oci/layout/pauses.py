"""Let others run while a long list is worked through."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

# Of entries of an index. Less than a hundredth of a second passes between two pauses.
AT_ONCE = 400
# gevent takes 0 as "in this round of the event loop", in which no timer runs and nothing is received.
_PAUSE_SECONDS = 1e-6


def with_pauses(items: Iterable[Item], *, every: int = AT_ONCE) -> Iterator[Item]:
    """
    Yield *items*, and pause after each *every* of them.

    A layout may have 200,000 images. Meanwhile heartbeats, time limits and copies of other images must go on.
    """
    for number, item in enumerate(items, 1):
        yield item
        if number % every == 0:
            time.sleep(_PAUSE_SECONDS)
