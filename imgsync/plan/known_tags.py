"""The tags that the state knows, by source repository."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property

from imgsync.oci.spec.reference import Repository, split_reference
from imgsync.state import Record, StateStore


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
        return sorted(name.removeprefix(below) for name in self._records if name.startswith(below))

    def has_any(self, repository: Repository) -> bool:
        """Return whether any tag of *repository* is known."""
        return str(repository) in self._records

    def find(self, repository: Repository, *, listed: Collection[str] = ()) -> Mapping[str, Sequence[Record]]:
        """Return the records of *repository* by tag or digest, without those *listed*."""
        name = str(repository)
        if not listed and name in self._found:
            # Exact names are asked for one by one.
            return self._found[name]
        found: defaultdict[str, list[Record]] = defaultdict(list)
        start = len(name) + 1
        for record in self._records.get(name, ()):
            tag = record.source[start:]
            # Nearly all are listed: the rest of the work is only for others.
            if tag not in listed:
                # A record may be of a pin that is now a tag, or the other way round.
                found[tag.partition("@")[0]].append(record)
        if not listed:
            self._found[name] = found
        return found

    @cached_property
    def _records(self) -> Mapping[str, list[Record]]:
        found: defaultdict[str, list[Record]] = defaultdict(list)
        for record in self._state.iter_records() if self._is_enabled else ():
            found[split_reference(record.source)[0]].append(record)
        return dict(found)
