"""
The kept tags of one mirror, packed.

Nearly all tags of a large plan are kept. As objects each takes half a KiB or more; packed, some fifty bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from imgsync.filters.natural_order import make_natural_key
from imgsync.plan.model import Action, Change
from imgsync.plan.packed_changes import list_fields, make_change
from imgsync.system.sorted_runs import SortedRuns


class KeptChanges(SortedRuns[Change]):
    """Collects the kept changes of one mirror, and yields them sorted."""

    def __init__(self, mirror: str) -> None:
        """Start empty; every change belongs to *mirror*."""
        super().__init__(make_key, list_fields, functools.partial(make_change, Action.KEEP, mirror))
        self.mirror = mirror

    def select(self, is_selected: Callable[[Change], bool]) -> KeptChanges:
        """Return the selected changes."""
        found = KeptChanges(self.mirror)
        found.update(change for change in self if is_selected(change))
        return found


def make_key(change: Change) -> str:
    """Return the key by which changes of one action are sorted."""
    return f"{make_natural_key(str(change.source))}\0\0{make_natural_key(str(change.destination))}"
