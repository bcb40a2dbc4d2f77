"""Imports that leave out what a library brings along for show: most of what a short run does is importing. docs/decisions/0006 has the figures."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Import within the block as if the modules *names* were not installed, but for those that are loaded already; afterwards they can be had again."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is how the import system says that there is none
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
