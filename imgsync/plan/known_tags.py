"""The tags that the state knows, by source repository."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby

from imgsync.oci.spec.reference import Repository, split_reference
from imgsync.state import Record, StateStore
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class _Place:
    """
    What one source repository has in one destination repository.

    `names` has the tag or digest of each record at the source and at the destination, with its separator, line by line. As one text they need a
    tenth of the memory.
    """

    destination: str
    names: str


class KnownTags:
    """The records of the state, found by their source."""

    def __init__(self, state: StateStore, *, is_enabled: bool = True) -> None:
        """Unless *is_enabled*, know nothing."""
        self._state = state
        self._is_enabled = is_enabled
        self._found: dict[str, Mapping[str, Sequence[Record]]] = {}

    def list_paths(self, registry: str) -> Iterable[str]:
        """Return the paths of the known repositories at *registry*, sorted."""
        below = f"{registry}/"
        return sorted(name.removeprefix(below) for name in self._places if name.startswith(below))

    def has_any(self, repository: Repository) -> bool:
        """Return whether any tag of *repository* is known."""
        return str(repository) in self._places

    def find(self, repository: Repository, *, listed: Collection[str] = ()) -> Mapping[str, Sequence[Record]]:
        """Return the records of *repository* by tag or digest, without those *listed*."""
        name = str(repository)
        if not listed and name in self._found:
            # Exact names are asked for one by one.
            return self._found[name]
        found: defaultdict[str, list[Record]] = defaultdict(list)
        for tag, destination in self._iter_names(name):
            # Nearly all are listed: the rest of the work is only for others.
            if tag not in listed and (record := self._state.get(destination)) is not None:
                # A record may be of a pin that is now a tag, or the other way round.
                found[tag.partition("@")[0]].append(record)
        if not listed:
            self._found[name] = found
        return found

    def _iter_names(self, repository: str) -> Iterator[tuple[str, str]]:
        """Yield the tag or digest of each record, and its destination."""
        for place in self._places.get(repository, ()):
            lines = place.names.split("\n")
            for source, destination in zip(lines[::2], lines[1::2], strict=True):
                yield source[1:], f"{place.destination}{destination}"

    @cached_property
    def _places(self) -> Mapping[str, Sequence[_Place]]:
        found: defaultdict[str, list[_Place]] = defaultdict(list)
        records = self._state.iter_records() if self._is_enabled else ()
        for destination, some in groupby(records, key=lambda record: split_reference(record.destination)[0]):
            names: defaultdict[str, list[str]] = defaultdict(list)
            for record in some:
                repository, name = split_reference(record.source)
                # What is not a reference was not written by us.
                if "\n" not in record.source + record.destination:
                    names[repository] += (name, record.destination.removeprefix(destination))
            for repository, lines in names.items():
                found[repository].append(_Place(destination, "\n".join(lines)))
        return dict(found)
