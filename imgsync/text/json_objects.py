"""
Build JSON objects whose keys are all different.

Parsers differ in which of two values of one key they take, so what one checks is not what another runs.
"""

from __future__ import annotations

from typing import Any


class RepeatedKeyError(ValueError):
    """A key occurs twice in one object."""


def build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """
    Return the object of *pairs*; an `object_pairs_hook` for `json`.

    Raises:
        RepeatedKeyError: A key occurs twice.
    """
    built = dict(pairs)
    if len(built) != len(pairs):
        raise RepeatedKeyError("a key occurs twice in one object")
    return built
