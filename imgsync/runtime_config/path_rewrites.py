"""
Find one set of rewrites for each source registry.

For runtimes that rewrite paths by regular expressions, the same for all mirrors of a registry: k3s, RKE2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from imgsync.config.model import Mirror
from imgsync.runtime_config.mixed_sources import Area, warn_of_mixed_sources
from imgsync.runtime_config.model import Findings, describe_mirrors
from imgsync.runtime_config.places import MAX_DEPTH, Place, Rewrite, Scope
from imgsync.runtime_config.refusals import Refusal, Refusals, refuse_renamed_tags
from imgsync.runtime_config.routes import Route, group_by_registry
from imgsync.system.dataclass import dataclass

_ABILITY = "rewrites all paths of a registry by one set of rules"


@dataclass(frozen=True, slots=True)
class RegistryRewrites:
    """One source registry, its destinations, and the rewrites for all."""

    registry: str
    hosts: tuple[str, ...]
    rewrites: tuple[Rewrite, ...]
    mirrors: tuple[Mirror, ...]


def find_registry_rewrites(routes: Iterable[Route], findings: Findings, *, runtime: str) -> tuple[RegistryRewrites, ...]:
    """
    Return the rewrites of each registry that all of its routes share.

    A mirror that they cannot express is an error in *findings*; a destination that is left out is a warning.
    """
    found = []
    refusals = Refusals()
    for registry, group in group_by_registry(routes).items():
        usable = [(route, _find_usable(route, refusals, runtime)) for route in group]
        if not all(places for _, places in usable):
            continue
        hosts = [host for host in usable[0][1] if all(host in places for _, places in usable)]
        if not hosts:
            _add_conflict(usable, findings, runtime)
            continue
        chosen = [(route, places[hosts[0]]) for route, places in usable]
        same = tuple(host for host in hosts if all(places[host].rewrites == place.rewrites for (_, places), (_, place) in zip(usable, chosen, strict=True)))
        _warn_of_rest(usable, same, findings)
        rewrites = _join_rewrites(chosen, findings, runtime)
        found.append(RegistryRewrites(registry, same, rewrites, tuple({route.mirror.name: route.mirror for route in group}.values())))
        areas = (Area(str(route.scope), f"{host}/{place.prefix}", route.mirror) for route, place in chosen if place.prefix for host in same)
        warn_of_mixed_sources(list(areas), findings)
    refusals.report(findings)
    return tuple(found)


def _find_usable(route: Route, refusals: Refusals, runtime: str) -> dict[str, Place]:
    """Return the first usable place of *route* at each registry."""
    usable: dict[str, Place] = {}
    for place in refusals.keep_usable(route, lambda place: _refuse(place, route.scope, runtime)):
        usable.setdefault(place.registry, place)
    return usable


def _refuse(place: Place, scope: Scope, runtime: str) -> Refusal | None:
    if not place.keeps_tags:
        return refuse_renamed_tags(place, runtime)
    if place.registry == scope.registry:
        return Refusal(f"source and destination are one registry, and {runtime} does not rewrite paths there", "use `runtime-config podman` or `kyverno`")
    return None


def _add_conflict(usable: Sequence[tuple[Route, dict[str, Place]]], findings: Findings, runtime: str) -> None:
    """Add an error for each mirror without a shared registry."""
    first, shared = usable[0][0], list(usable[0][1])
    for route, places in usable[1:]:
        both = [host for host in shared if host in places]
        if both:
            shared = both
            continue
        other = describe_mirrors([first.mirror])
        message = f"{route.scope} is at {next(iter(places))}, but {other} has {first.scope} at {shared[0]}, and {runtime} {_ABILITY}"
        findings.add_error(route.mirror, message, "give the mirrors of this registry one destination, or use `runtime-config podman` or `kyverno`")


def _warn_of_rest(usable: Iterable[tuple[Route, dict[str, Place]]], hosts: Sequence[str], findings: Findings) -> None:
    for route, places in usable:
        for host in places:
            if host not in hosts:
                message = f"{route.scope} at {host}: paths differ there, or not all mirrors of this registry are there"
                findings.add_warning(route.mirror, f"{message}; nodes use {hosts[0]}")


def _join_rewrites(chosen: Sequence[tuple[Route, Place]], findings: Findings, runtime: str) -> tuple[Rewrite, ...]:
    """Return rewrites that exclude each other."""
    by_scope: dict[Scope, tuple[Route, Place]] = {}
    rewrites: dict[Rewrite, None] = {}
    for route, place in chosen:
        known = by_scope.setdefault(route.scope, (route, place))
        if known[1].rewrites != place.rewrites:
            _add_overlap(route, known[0], findings, runtime)
        if not place.is_complete:
            findings.add_warning(route.mirror, f"{route.scope}: repositories more than {MAX_DEPTH} levels below it are not rewritten")
    for scope, (route, place) in by_scope.items():
        outer = next((by_scope[above] for above in scope.list_above() if above in by_scope), None)
        if outer is None:
            rewrites |= dict.fromkeys(place.rewrites)
        elif not _is_same(outer[1], outer[0].scope, place, scope):
            _add_overlap(route, outer[0], findings, runtime)
    return tuple(rewrites)


def _is_same(outer: Place, above: Scope, place: Place, scope: Scope) -> bool:
    """Return whether the rewrites of *outer* do what those of *place* do."""
    if scope.is_exact:
        return place.prefix in set(_apply(outer.rewrites, scope.path))
    below = scope.path.removeprefix(above.path).strip("/")
    return outer.prefix is not None and place.prefix == "/".join(part for part in (outer.prefix, below) if part)


def _apply(rewrites: Iterable[Rewrite], path: str) -> Iterator[str]:
    yield from (found for rewrite in rewrites if (found := rewrite.apply(path)) is not None)


def _add_overlap(route: Route, other: Route, findings: Findings, runtime: str) -> None:
    where = describe_mirrors([other.mirror])
    message = f"{route.scope} is part of {other.scope} of {where}, with another place, and {runtime} may use either rule"
    findings.add_error(route.mirror, message, "give both one destination, or use `runtime-config podman` or `kyverno`")
