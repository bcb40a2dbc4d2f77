"""Check what a mirror's declaration allows, without asking a registry."""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.config.allowlist import get_fixed_prefix, is_allowed
from imgsync.config.model import Mirror
from imgsync.errors import InvalidReferenceError
from imgsync.filters.tags import has_only_names
from imgsync.oci.spec.reference import Reference
from imgsync.plan.destinations import find_reference
from imgsync.plan.list_repositories import list_relative_paths
from imgsync.plan.model import COPIES, Action, Change
from imgsync.plan.prunable import is_prunable


class DeclarationScope:
    """
    The changes that one mirror can plan.

    Tag filters are not evaluated: that needs the source's listing.
    """

    def __init__(self, mirror: Mirror) -> None:
        """Compile the patterns of *mirror*."""
        self._mirror = mirror
        self._paths = mirror.source.compile_filter()
        self._prefixes = tuple(get_fixed_prefix(one) for one in mirror.destinations)
        self._names = frozenset(mirror.tags.names) if has_only_names(mirror.tags) else None

    def includes(self, change: Change) -> bool:
        """Return whether planning this mirror could result in *change*."""
        source, destination = change.source, change.destination
        if self._mirror.suspend or not destination.tag:
            return False
        if change.action is Action.DELETE:
            # Its repository may no longer be declared; the state must say that this mirror pushed it.
            return is_prunable(self._mirror, destination, gone=change.gone_since is not None) and self.has_place(destination)
        if change.action in COPIES and (change.source_digest is None or source.digest not in {"", change.source_digest}):
            return False
        return self.covers(source, destination)

    def covers(self, source: Reference, destination: Reference) -> bool:
        """Return whether the mirror can write *source* to *destination* now."""
        return not self._mirror.suspend and self._is_named(source) and self.can_write(source, destination)

    def has_place(self, destination: Reference) -> bool:
        """Return whether *destination* is below one of the mirror's destinations."""
        return is_allowed(self._prefixes, str(destination.repository))

    def owns(self, pusher: str, source: Reference, destination: Reference) -> bool:
        """
        Return whether *destination*, which *pusher* wrote from *source*, is this mirror's.

        A record of an earlier version has no pusher: then it is if the mirror can write it.
        """
        return pusher == self._mirror.name and self.has_place(destination) if pusher else self.can_write(source, destination)

    def can_write(self, source: Reference, destination: Reference) -> bool:
        """Return whether *source* goes to *destination*, if selected."""
        repository = source.repository
        if repository.registry != self._mirror.source.registry or self._paths.is_excluded(repository.path):
            return False
        return destination in self._list_targets(source)

    def _is_named(self, source: Reference) -> bool:
        if source.digest:
            return f"{source.tag}@{source.digest}".lstrip("@") in self._mirror.tags.names
        return bool(source.tag) and (self._names is None or source.tag in self._names)

    def _list_targets(self, source: Reference) -> Iterator[Reference]:
        """Yield the destinations of *source*."""
        for relative in list_relative_paths(self._mirror.source, self._paths, source.repository.path):
            for destination in self._mirror.destinations:
                try:
                    yield find_reference(destination, source.repository, relative, source.tag_or_digest)
                except InvalidReferenceError:
                    continue
