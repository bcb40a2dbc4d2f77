"""Name a few of many tags in a message."""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 5


def quote_tags(tags: Sequence[str]) -> str:
    """Return the first few *tags*, and the number of others."""
    return ", ".join(tags[:_NAMED]) + (f" and {len(tags) - _NAMED} more" if len(tags) > _NAMED else "")
