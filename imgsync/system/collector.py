"""Collect cyclic garbage rarely while the program starts."""

from __future__ import annotations

import gc

_USUAL = gc.get_threshold()
# More objects than a start makes. What imports make stays, so that a hundred collections find nothing.
_AT_START = 100_000


def collect_rarely() -> None:
    """Collect no garbage during the imports."""
    gc.set_threshold(_AT_START, *_USUAL[1:])


def collect_as_usual() -> None:
    """
    Collect garbage as often as Python does, without what was imported.

    A long run needs that: errors and their frames are cycles, which hold buffers.
    """
    gc.freeze()
    gc.set_threshold(*_USUAL)
