"""
Spread weights evenly over a number of shares.

Largest first, each to the share with the least so far (LPT): no share exceeds 4/3 of the best possible maximum. Equal weights are ordered by name, so
that each machine finds the same result.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping


def spread(weights: Mapping[str, int], count: int) -> dict[str, int]:
    """Return the share of each name in *weights*, counted from 0."""
    shares = [(0, number) for number in range(count)]
    found: dict[str, int] = {}
    for name in sorted(weights, key=lambda name: (-weights[name], name)):
        load, number = heapq.heappop(shares)
        found[name] = number
        heapq.heappush(shares, (load + weights[name], number))
    return found
