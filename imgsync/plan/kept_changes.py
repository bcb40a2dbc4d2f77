"""
The kept tags of one mirror, packed.

Nearly all tags of a large plan are kept. As objects each takes half a KiB or more; packed, some fifty bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from imgsync.filters.natural_order import make_natural_key
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.model import Action, Change
from imgsync.system.sorted_runs import SortedRuns

_REFERENCE = ("repository.registry", "repository.path", "tag", "digest")
# What a change is made of, without what is the same for all. References are put together again, since their text would have to be parsed.
_AFTER_DESTINATION = Change.__slots__[Change.__slots__.index("destination") + 1 :]
_list_fields = attrgetter(*(f"source.{name}" for name in _REFERENCE), "source_digest", *(f"destination.{name}" for name in _REFERENCE), *_AFTER_DESTINATION)
_LEFT_OUT = _AFTER_DESTINATION.index("left_out")


class KeptChanges(SortedRuns[Change]):
    """Collects the kept changes of one mirror, and yields them sorted."""

    def __init__(self, mirror: str) -> None:
        """Start empty; every change belongs to *mirror*."""
        super().__init__(make_key, _list_fields, functools.partial(_make_change, mirror))
        self.mirror = mirror

    def select(self, is_selected: Callable[[Change], bool]) -> KeptChanges:
        """Return the selected changes."""
        found = KeptChanges(self.mirror)
        found.update(change for change in self if is_selected(change))
        return found


def make_key(change: Change) -> str:
    """Return the key by which changes of one action are sorted."""
    return f"{make_natural_key(str(change.source))}\0\0{make_natural_key(str(change.destination))}"


def _make_change(mirror: str, *fields: Any) -> Change:
    rest = list(fields[9:])
    rest[_LEFT_OUT] = tuple(rest[_LEFT_OUT])
    return Change(Action.KEEP, mirror, _join_reference(*fields[:4]), fields[4], _join_reference(*fields[5:9]), *rest)


def _join_reference(registry: str, path: str, tag: str, digest: str) -> Reference:
    return Reference(_find_repository(registry, path), tag, digest)


@functools.lru_cache(maxsize=64)
def _find_repository(registry: str, path: str) -> Repository:
    """Return one value for all tags of a repository."""
    return Repository(registry, path)
