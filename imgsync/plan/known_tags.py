"""The tags that the state knows, by source repository."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import groupby
from operator import itemgetter

from imgsync.oci.spec.reference import Repository, split_reference
from imgsync.state import Record, StateStore
from imgsync.system.packed_map import PackedMap
from imgsync.system.sorted_runs import SortedRuns

# Between a repository and the tag: neither can have it.
_SEPARATOR = "\0"


class KnownTags:
    """The records of the state, found by their source."""

    def __init__(self, state: StateStore, *, is_enabled: bool = True) -> None:
        """Unless *is_enabled*, know nothing."""
        self._state = state
        self._is_enabled = is_enabled

    def list_paths(self, registry: str) -> Iterable[str]:
        """Return the paths of the known repositories at *registry*, sorted."""
        below = f"{registry}/"
        keys = (key for key, _ in self._destinations.iter_items(below))
        return sorted(repository.removeprefix(below) for repository, _ in groupby(keys, key=lambda key: key.partition(_SEPARATOR)[0]))

    def has_any(self, repository: Repository) -> bool:
        """Return whether any tag of *repository* is known."""
        return next(self.iter_names(repository), None) is not None

    def iter_names(self, repository: Repository) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield the tag or digest of each record, sorted, and its destinations."""
        prefix = f"{repository}{_SEPARATOR}"
        return ((key.removeprefix(prefix), destinations) for key, destinations in self._destinations.iter_items(prefix))

    def find(self, repository: Repository, name: str) -> list[Record]:
        """Return the records of the tag or digest *name*."""
        return self.get_records(self._destinations.find(f"{repository}{_SEPARATOR}{name}") or ())

    def get_records(self, destinations: Iterable[str]) -> list[Record]:
        """Return the records of *destinations*."""
        return [record for one in destinations if (record := self._state.get(one)) is not None]

    @cached_property
    def _destinations(self) -> PackedMap[Sequence[str]]:
        """The destinations of each source tag, by repository and tag."""
        found = SortedRuns[tuple[str, str]](itemgetter(0), tuple, lambda *row: row)
        for record in self._state.iter_records() if self._is_enabled else ():
            repository, name = split_reference(record.source)
            # What is not a reference was not written by us.
            if _SEPARATOR not in record.source:
                # A record may be of a pin that is now a tag, or the other way round.
                found.add((f"{repository}{_SEPARATOR}{name[1:].partition('@')[0]}", record.destination))
        rows = ((key, *(destination for _, destination in same)) for key, same in groupby(found, key=itemgetter(0)))
        return PackedMap(rows, lambda _, *destinations: destinations, lambda key, destinations: (key, *destinations))
