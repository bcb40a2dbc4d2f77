"""
Find the places of each namespace and repository of the sources.

For runtimes that choose the longest prefix of an image's name: podman, CRI-O, OpenShift.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from imgsync.config.model import Mirror
from imgsync.runtime_config.mixed_sources import Area, warn_of_mixed_sources
from imgsync.runtime_config.model import Findings
from imgsync.runtime_config.places import Place, Scope
from imgsync.runtime_config.refusals import Refusal, Refusals, refuse_renamed_tags
from imgsync.runtime_config.routes import Route, group_by_scope, iter_covering
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """Where a namespace or repository is, and which mirrors copy it there."""

    registry: str
    path: str
    mirrors: tuple[Mirror, ...]

    def __str__(self) -> str:
        """Return `registry/path`."""
        return f"{self.registry}/{self.path}" if self.path else self.registry


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace or repository of a source, and its locations in order."""

    scope: Scope
    locations: tuple[Location, ...]


def find_namespaces(routes: Sequence[Route], findings: Findings, *, runtime: str) -> tuple[Namespace, ...]:
    """
    Return the namespaces and repositories of all *routes*, with every location.

    A location of a namespace is also one of what is below it, because a runtime uses the longest prefix alone. What cannot be expressed is an error
    in *findings*; a destination that is left out is a warning.
    """
    by_scope = group_by_scope(routes)
    refusals = Refusals()
    locations = {(route.mirror.name, route.scope): _find_locations(route, refusals, runtime) for route in routes}
    refusals.report(findings)
    found: dict[str, Namespace] = {}
    for scope, group in by_scope.items():
        moved = [_move(location, route.scope, scope) for route in iter_covering(scope, by_scope) for location in locations[route.mirror.name, route.scope]]
        namespace = Namespace(scope, _join_equal(moved))
        other = found.setdefault(str(scope), namespace)
        if list(map(str, other.locations)) != list(map(str, namespace.locations)):
            message = f"{scope} is both a repository and a namespace, in different places, and {runtime} cannot tell them apart"
            findings.add_error(group[0].mirror, message, 'use `repository: "{path}"`')
    namespaces = tuple(one for one in found.values() if one.locations and not _is_implied(one, found))
    areas = [Area(str(one.scope), str(location), location.mirrors[0]) for one in namespaces for location in one.locations]
    warn_of_mixed_sources(areas, findings)
    _check_ports(namespaces, findings, runtime)
    return namespaces


def check_blocked(namespaces: Sequence[Namespace], findings: Findings) -> None:
    """Add an error for each location that is itself blocked."""
    blocked = {str(namespace.scope) for namespace in namespaces}
    for namespace in namespaces:
        for location in namespace.locations:
            parts = str(location).split("/")
            found = next((prefix for count in range(len(parts), 0, -1) if (prefix := "/".join(parts[:count])) in blocked), None)
            if found is not None:
                message = f"{namespace.scope} is at {location}, and --no-fallback blocks {found}, which is the source of another image"
                findings.add_error(location.mirrors[0], message, "leave out --no-fallback, or mirror to another registry")


def _check_ports(namespaces: Sequence[Namespace], findings: Findings, runtime: str) -> None:
    """Add an error where the prefix of a registry matches a location."""
    # The prefix `r.example` also matches `r.example:5000/app`, whose name is then rewritten to an invalid one, or blocked.
    whole = {namespace.scope.registry for namespace in namespaces if not namespace.scope.path}
    for location in dict.fromkeys(location for namespace in namespaces for location in namespace.locations):
        host, colon, _ = location.registry.rpartition(":")
        if colon and host in whole:
            message = f"{runtime} also uses the settings of {host} for {location.registry}, where the images are"
            findings.add_error(location.mirrors[0], message, f"name the namespaces of {host} instead of the whole registry, or mirror to another host")


def _find_locations(route: Route, refusals: Refusals, runtime: str) -> tuple[Location, ...]:
    """Return the locations of *route*; add what is left out."""
    usable = refusals.keep_usable(route, lambda place: _refuse(place, runtime))
    return tuple(Location(place.registry, place.prefix or "", (route.mirror,)) for place in usable)


def _refuse(place: Place, runtime: str) -> Refusal | None:
    if not place.keeps_tags:
        return refuse_renamed_tags(place, runtime)
    if place.registry.startswith("["):
        # containers/image reads no such name, so that even the fallback fails: container-libs#195.
        return Refusal(f"{runtime} cannot pull from an IPv6 address", "give the registry a name in DNS, or use `runtime-config containerd`")
    if place.prefix is not None:
        return None
    return Refusal(
        f"`repository: {place.destination.repository}` changes the paths below a namespace, and {runtime} can only replace the namespace",
        "name the repositories one by one (`repositories`), or use `runtime-config k3s` or `kyverno`, which rewrite paths",
    )


def _move(location: Location, outer: Scope, inner: Scope) -> Location:
    """Return where *inner* is, if *outer* is at *location*."""
    below = inner.path.removeprefix(outer.path).lstrip("/")
    return replace(location, path="/".join(part for part in (location.path, below) if part))


def _join_equal(locations: Iterable[Location]) -> tuple[Location, ...]:
    """Return each place once, with all mirrors that copy there."""
    found: dict[str, Location] = {}
    for location in locations:
        known = found.get(str(location))
        found[str(location)] = location if known is None else replace(known, mirrors=(*known.mirrors, *location.mirrors))
    return tuple(found.values())


def _is_implied(namespace: Namespace, found: Mapping[str, Namespace]) -> bool:
    """Return whether the next namespace above gives the same locations."""
    for above in namespace.scope.list_above():
        other = found.get(str(above))
        if other is not None and other.locations:
            return tuple(_move(location, above, namespace.scope) for location in other.locations) == namespace.locations
    return False
