"""
Find tags that were mirrored and that the source no longer has.

The answers that planning needs anyway are compared with the state; nothing is requested. What the source does not clearly deny is not
gone. Spec: docs/how-to/upstream-deletes.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter

from imgsync.config.model import Mirror
from imgsync.errors import InvalidReferenceError
from imgsync.filters.missing_tags import select_missing_tags
from imgsync.filters.tags import Selection
from imgsync.listing.model import TagListing
from imgsync.oci.spec.reference import Reference, Repository, is_pin
from imgsync.oci.spec.referrers import is_referrers_tag
from imgsync.plan.destinations import find_reference
from imgsync.plan.gone_tag import Absence, GoneTag
from imgsync.plan.known_tags import KnownTags
from imgsync.plan.list_repositories import ListedRepositories, SourceRepository, strip_namespace
from imgsync.state import Record, StateStore
from imgsync.system.sorted_runs import SortedTexts, iter_unknown
from imgsync.text.units import parse_timestamp

_NOTHING = Selection((), ())


class GoneFinder:
    """Compares one mirror's source with the state."""

    def __init__(self, mirror: Mirror, known: KnownTags, state: StateStore, *, now: datetime) -> None:
        """Compare with *known* tags; *now* is the time of the plan."""
        self._mirror = mirror
        self._known = known
        self._gone_since = state.gone_since
        self._now = now

    def knows(self, found: SourceRepository) -> bool:
        """Return whether this mirror mirrored any tag of *found*."""
        names = self._known.iter_names(found.repository)
        return any(self._list_own(found, name, self._known.get_records(destinations)) for name, destinations in names)

    def find_names(self, found: SourceRepository, names: Iterable[str], absence: Absence) -> tuple[GoneTag, ...]:
        """Return those of the exact *names* that were mirrored, as gone."""
        own = ((name, one) for name in names for one in self._list_own(found, name, self._known.find(found.repository, name.partition("@")[0])))
        return tuple(self._make(found, name, one, absence) for name, one in own if not is_pin(name) or name.endswith(one[0].source_digest))

    def find_unlisted(
        self,
        found: SourceRepository,
        listing: TagListing | None,
        absence: Absence,
        *,
        selection: Selection = _NOTHING,
        dates: Mapping[str, datetime | None] | None = None,
    ) -> tuple[GoneTag, ...]:
        """
        Return the tags that *listing* lacks, and that the filters would select.

        Args:
            found: The repository.
            listing: What it has, None for nothing.
            absence: How this was seen.
            selection: What the filters select of it.
            dates: The known creation dates of selected tags.
        """
        listed = _sort_names(listing) if listing is not None and self._known.has_any(found.repository) else ()
        named = {name.partition("@")[0] for name in self._mirror.tags.names}
        # Tags that hold referrers are selected only by exact name.
        own = {
            name: self._list_own(found, name, self._known.get_records(destinations))
            for name, destinations in iter_unknown(self._known.iter_names(found.repository), listed, key=itemgetter(0))
            if not is_referrers_tag(name) and name not in named
        }
        if not own:
            return ()
        latest = {name: max(parse_timestamp(record.applied_at) or self._now for record, _ in records) for name, records in own.items() if records}
        chosen = select_missing_tags(latest, selection, self._mirror.tags, dates=dates or {}, now=self._now)
        return tuple(self._make(found, name, one, absence) for name in chosen for one in own[name])

    def find_in_unlisted_repositories(self, listed: ListedRepositories) -> Iterator[tuple[Repository, tuple[GoneTag, ...]]]:
        """Yield each known repository that the declared namespaces no longer list."""
        for found, absence in self._iter_unlisted_repositories(listed):
            names = self.find_names(found, self._mirror.tags.names, absence)
            yield found.repository, names + self.find_unlisted(found, None, absence)

    def list_returned(self, found: SourceRepository, listing: TagListing) -> tuple[str, ...]:
        """Return the destinations whose tag was gone, and is listed again."""
        if not self._gone_since:
            return ()
        known = self._known.iter_names(found.repository)
        gone = {name: some for name, destinations in known if (some := [one for one in destinations if one in self._gone_since])}
        back = sorted(tag.name for tag in listing.tags if tag.name in gone)
        return tuple(record.destination for name in back for record, _ in self._list_own(found, name, self._known.get_records(gone[name])))

    def _iter_unlisted_repositories(self, listed: ListedRepositories) -> Iterator[tuple[SourceRepository, Absence]]:
        source = self._mirror.source
        present = {one.repository.path for one in listed.repositories}
        paths = source.compile_filter()
        for path in self._known.list_paths(source.registry) if listed.complete else ():
            above = source.list_namespaces_of(path)
            if path in present or not above or not paths.includes(path) or not all(namespace in listed.complete for namespace in above):
                continue
            is_empty = not any(listed.complete[namespace] for namespace in above)
            found = SourceRepository(Repository(source.registry, path), strip_namespace(path, above[0]))
            yield found, Absence.EMPTY_LIST if is_empty else Absence.UNLISTED_REPOSITORY

    def _list_own(self, found: SourceRepository, name: str, records: Sequence[Record]) -> list[tuple[Record, Reference]]:
        """Return those of *records* that are where this mirror puts *name*."""
        places: dict[str, Reference] = {}
        tag = found.repository.with_name(name).tag_or_digest
        for destination in self._mirror.destinations if records else ():
            try:
                place = find_reference(destination, found.repository, found.relative, tag)
                places[str(place)] = place
            except InvalidReferenceError:
                # What cannot be written there was never pushed.
                continue
        return [(record, places[record.destination]) for record in records if record.destination in places]

    def _make(self, found: SourceRepository, name: str, own: tuple[Record, Reference], absence: Absence) -> GoneTag:
        record, destination = own
        source = found.repository.with_name(name)
        return GoneTag(self._mirror.name, source, destination, record.digest, self._gone_since.get(record.destination), absence)


def _sort_names(listing: TagListing) -> Iterable[str]:
    names = SortedTexts()
    names.update(tag.name for tag in listing.tags)
    return names
