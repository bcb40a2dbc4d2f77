"""
Find one path prefix for each source registry.

For runtimes that ask a mirror for the same path, below a prefix: containerd, Talos, Docker, BuildKit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imgsync.config.model import Mirror
from imgsync.runtime_config.mixed_sources import Area, warn_of_mixed_sources
from imgsync.runtime_config.model import Findings, describe_mirrors
from imgsync.runtime_config.places import Place, Scope
from imgsync.runtime_config.refusals import Refusal, Refusals, refuse_renamed_tags
from imgsync.runtime_config.routes import Route, group_by_registry
from imgsync.system.dataclass import dataclass

_ABILITY = "can only put one prefix before all paths of a registry"


@dataclass(frozen=True, slots=True)
class HostPrefix:
    """A destination registry, and what comes before the source path there."""

    registry: str
    path: str

    def __str__(self) -> str:
        """Return `registry/path`."""
        return f"{self.registry}/{self.path}" if self.path else self.registry


@dataclass(frozen=True, slots=True)
class RegistryPrefixes:
    """The prefixes of one source registry, in order, and its mirrors."""

    registry: str
    hosts: tuple[HostPrefix, ...]
    mirrors: tuple[Mirror, ...]


def find_registry_prefixes(routes: Iterable[Route], findings: Findings, *, runtime: str, allows_path: bool = True) -> tuple[RegistryPrefixes, ...]:
    """
    Return the prefixes of each registry that all of its routes share.

    A mirror without one is an error in *findings*; a destination that is left out is a warning.

    Args:
        routes: The routes.
        findings: Where to add errors and warnings.
        runtime: How messages call the runtime.
        allows_path: Whether a prefix may be more than the name of a registry.
    """
    found = []
    refusals = Refusals()
    for registry, group in group_by_registry(routes).items():
        usable = [(route, _find_usable(route, refusals, runtime, allows_path=allows_path)) for route in group]
        if not all(hosts for _, hosts in usable):
            continue
        shared = [host for host in usable[0][1] if all(host in hosts for _, hosts in usable)]
        if shared:
            _warn_of_rest(usable, shared, findings, runtime)
            found.append(RegistryPrefixes(registry, tuple(shared), tuple(dict.fromkeys(route.mirror for route in group))))
        else:
            _add_conflict(usable, findings, runtime)
    refusals.report(findings)
    areas = [Area(one.registry, str(host), one.mirrors[0]) for one in found for host in one.hosts]
    warn_of_mixed_sources(areas, findings)
    return tuple(found)


def find_host_prefix(place: Place, scope: Scope) -> HostPrefix | None:
    """Return what comes before the source path, None if it changes."""
    if place.prefix is None:
        return None
    if place.prefix == scope.path:
        return HostPrefix(place.registry, "")
    rest = place.prefix.removesuffix(f"/{scope.path}") if scope.path else place.prefix
    return None if scope.path and rest == place.prefix else HostPrefix(place.registry, rest)


def _find_usable(route: Route, refusals: Refusals, runtime: str, *, allows_path: bool) -> tuple[HostPrefix, ...]:
    """Return the prefixes of *route*; add what is left out."""
    usable: dict[HostPrefix, None] = {}
    refused: list[tuple[Place, Refusal]] = []
    for place in route.places:
        prefix = find_host_prefix(place, route.scope)
        refusal = _refuse(place, prefix, route.scope, runtime, allows_path=allows_path)
        if refusal is not None:
            refused.append((place, refusal))
        elif prefix is not None:
            usable[prefix] = None
    refusals.add(route, refused, has_other_places=bool(usable))
    return tuple(usable)


def _refuse(place: Place, prefix: HostPrefix | None, scope: Scope, runtime: str, *, allows_path: bool) -> Refusal | None:
    """Return why *runtime* cannot use *place*, None if it can."""
    if not place.keeps_tags:
        return refuse_renamed_tags(place, runtime)
    if prefix is None and not allows_path:
        reason = f"`repository: {place.destination.repository}` changes paths, and {runtime} cannot"
        return Refusal(reason, 'use `repository: "{path}"` and no `namespace`, or another runtime')
    if prefix is None:
        return Refusal(
            f"`repository: {place.destination.repository}` changes paths, and {runtime} {_ABILITY}",
            'use `runtime-config k3s` or `kyverno`, which rewrite paths, or `repository: "{registry}/{path}"`',
        )
    if prefix.path and not allows_path:
        return Refusal(f"{runtime} cannot ask a mirror for a path below {prefix.path!r}", "use a destination without `namespace`, or another runtime")
    if place.registry == scope.registry:
        return Refusal(
            f"source and destination are one registry, so {runtime} would look for the copies below {str(prefix)!r} too",
            "use `runtime-config podman` or `kyverno`, which distinguish namespaces, or another registry",
        )
    return None


def _add_conflict(usable: Sequence[tuple[Route, tuple[HostPrefix, ...]]], findings: Findings, runtime: str) -> None:
    """Add an error for each mirror without a shared prefix."""
    first, shared = usable[0][0], list(usable[0][1])
    for route, hosts in usable[1:]:
        both = [host for host in shared if host in hosts]
        if both:
            shared = both
            continue
        other = f"{describe_mirrors([first.mirror])} has " if first.mirror != route.mirror else ""
        findings.add_error(
            route.mirror,
            f"{route.scope} is below {hosts[0]}, but {other}{first.scope} below {shared[0]}, and {runtime} {_ABILITY}",
            "give the mirrors of this registry one destination, or use `runtime-config podman`, `k3s` or `kyverno`",
        )


def _warn_of_rest(usable: Iterable[tuple[Route, tuple[HostPrefix, ...]]], shared: Sequence[HostPrefix], findings: Findings, runtime: str) -> None:
    for route, hosts in usable:
        for host in hosts:
            if host not in shared:
                message = f"{route.scope} at {host}: other mirrors of this registry are not there, and {runtime} asks all of them in one place"
                findings.add_warning(route.mirror, f"{message}; nodes use the other destinations")
