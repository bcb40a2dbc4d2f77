"""Join what must stay on one machine into units."""

from __future__ import annotations

from collections.abc import Iterable


def join_units(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """
    Return the unit of each name: its first name.

    The two names of a pair are in one unit, and so is all that is joined to them by other pairs.
    """
    parents: dict[str, str] = {}

    def find(name: str) -> str:
        root = name
        while (above := parents.setdefault(root, root)) != root:
            root = above
        while parents[name] != root:
            parents[name], name = root, parents[name]
        return root

    for one, other in pairs:
        first, second = sorted((find(one), find(other)))
        parents[second] = first
    return {name: find(name) for name in list(parents)}
