"""Whether a change is one that its mirror's declaration can come to: what a saved plan may ask for, and no more."""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.config.allowlist import allows, fixed_part
from imgsync.config.model import Mirror
from imgsync.config.templates import expand_repository, expand_tag
from imgsync.errors import InvalidReferenceError
from imgsync.filters.globs import compile_glob
from imgsync.filters.tags import has_only_names
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.list_repositories import strip_namespace
from imgsync.plan.model import COPIES, Action, Change
from imgsync.plan.prune import is_prunable


class DeclarationScope:
    """What one mirror declares. Which tags its filters choose is not asked: that takes the source's listing."""

    def __init__(self, mirror: Mirror) -> None:
        """Take *mirror* as it is declared now."""
        self._mirror = mirror
        self._excluded = [compile_glob(text) for text in mirror.source.exclude]
        self._names = frozenset(mirror.tags.names) if has_only_names(mirror.tags) else None

    def includes(self, change: Change) -> bool:
        """Return whether planning this mirror could have come to *change*."""
        source, destination = change.source, change.destination
        if self._mirror.suspend or source.repository.registry != self._mirror.source.registry or not destination.tag:
            return False
        if change.action is Action.DELETE:
            # It may come from a repository that is no longer declared.
            below = tuple(fixed_part(one) for one in self._mirror.destinations)
            return allows(below, str(destination.repository)) and is_prunable(self._mirror, destination)
        if change.action in COPIES and change.source_digest is None:
            return False
        return self._selects(source) and destination in self._targets(source)

    def _selects(self, source: Reference) -> bool:
        path = source.repository.path
        named = bool(source.tag) and not source.digest and (self._names is None or source.tag in self._names)
        return named and not any(glob.fullmatch(path) for glob in self._excluded)

    def _targets(self, source: Reference) -> Iterator[Reference]:
        """Yield where *source* may go."""
        path = source.repository.path
        for relative in self._relatives(path):
            for destination in self._mirror.destinations:
                try:
                    target = expand_repository(destination, path, relative=relative, registry=source.repository.registry)
                    yield Repository(destination.registry, target).with_tag(expand_tag(destination, source.tag))
                except InvalidReferenceError:
                    continue

    def _relatives(self, path: str) -> Iterator[str]:
        """Yield how *path* reads from each place it may have been found in; nothing when it is not declared."""
        if path in self._mirror.source.repositories:
            yield path
        for namespace in self._mirror.source.namespaces:
            if not namespace or path.startswith(f"{namespace}/"):
                yield strip_namespace(path, namespace)
