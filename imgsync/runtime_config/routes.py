"""Find the places of every repository that mirrors declare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

from imgsync.config.model import Config, Destination, Mirror
from imgsync.errors import InvalidReferenceError
from imgsync.filters.repositories import RepositoryFilter
from imgsync.oci.spec.reference import is_layout
from imgsync.runtime_config.model import Findings
from imgsync.runtime_config.places import Place, Scope, find_place
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Route:
    """
    One scope of a mirror, and its places, in order of destinations.

    Where scopes of one mirror overlap, the longest is the one that counts.
    """

    mirror: Mirror
    scope: Scope
    places: tuple[Place, ...]
    filter: RepositoryFilter = field(compare=False)

    def selects(self, scope: Scope) -> bool:
        """Return whether the mirror may select what is in *scope*."""
        return self.scope == scope or not scope.is_exact or self.filter.includes(scope.path)


def trace_routes(config: Config, findings: Findings) -> tuple[Route, ...]:
    """
    Return the routes of all mirrors that are not suspended.

    A destination whose template results in an invalid path is an error in *findings*.
    """
    routes = []
    for mirror in config.mirrors:
        if mirror.suspend:
            findings.add_warning(mirror, "left out: it is suspended, so its images are not kept up to date", "remove `suspend`")
            continue
        pullable = _leave_out_layouts(mirror, findings)
        if pullable is None:
            continue
        mirror = pullable  # noqa: PLW2901 - the one that nodes can use
        paths = mirror.source.compile_filter()
        routes += [Route(mirror, scope, tuple(_find_places(mirror, scope, findings)), paths) for scope in _list_scopes(mirror, paths)]
    return tuple(routes)


def _leave_out_layouts(mirror: Mirror, findings: Findings) -> Mirror | None:
    """Return *mirror* without OCI layouts, None if nothing is left."""
    if is_layout(mirror.source.registry):
        findings.add_warning(mirror, "left out: its source is an OCI layout, which no name of an image leads to")
        return None
    kept = tuple(destination for destination in mirror.destinations if not is_layout(destination.registry))
    if not kept:
        findings.add_warning(mirror, "left out: it copies into an OCI layout, and nodes pull from registries only")
        return None
    if len(kept) < len(mirror.destinations):
        findings.add_warning(mirror, "its OCI layout is left out: nodes pull from registries only")
        return replace(mirror, destinations=kept)
    return mirror


def group_by_registry(routes: Iterable[Route]) -> dict[str, list[Route]]:
    """Return *routes* by their source registry."""
    found: dict[str, list[Route]] = {}
    for route in routes:
        found.setdefault(route.scope.registry, []).append(route)
    return found


def group_by_scope(routes: Iterable[Route]) -> dict[Scope, list[Route]]:
    """Return *routes* by their scope."""
    found: dict[Scope, list[Route]] = {}
    for route in routes:
        found.setdefault(route.scope, []).append(route)
    return found


def iter_covering(scope: Scope, by_scope: Mapping[Scope, Sequence[Route]]) -> Iterator[Route]:
    """Yield one route of each mirror that covers *scope*, longest first."""
    seen: set[str] = set()
    for one in (scope, *scope.list_above()):
        for route in by_scope.get(one, ()):
            if route.mirror.name not in seen and route.selects(scope):
                seen.add(route.mirror.name)
                yield route


def describe_destination(destination: Destination) -> str:
    """Return *destination* as a user would write it."""
    return f"{destination.registry}/{destination.namespace}".rstrip("/")


def _find_places(mirror: Mirror, scope: Scope, findings: Findings) -> Iterator[Place]:
    for destination in mirror.destinations:
        try:
            yield find_place(scope, destination)
        except InvalidReferenceError as error:
            findings.add_error(mirror, error.message, error.hint)


def _list_scopes(mirror: Mirror, paths: RepositoryFilter) -> Iterator[Scope]:
    """Yield the scopes of *mirror* that a plan uses."""
    source = mirror.source
    seen: list[Scope] = []
    for namespace in source.namespaces:
        scope = Scope(source.registry, namespace, is_exact=False)
        if not any(one.contains(scope) for one in seen):
            seen.append(scope)
    yield from seen
    yield from (Scope(source.registry, path, is_exact=True) for path in source.repositories if not paths.is_excluded(path))
