"""
Find the one place of each namespace and repository.

For what rewrites names before a node sees them: Kyverno. It has no second place, and no source to fall back to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from imgsync.config.templates import expand_repository
from imgsync.errors import InvalidReferenceError
from imgsync.runtime_config.model import Findings, describe_mirrors
from imgsync.runtime_config.places import COMPONENTS, Place, Scope
from imgsync.runtime_config.refusals import Refusal, Refusals
from imgsync.runtime_config.routes import Route, group_by_scope, iter_covering
from imgsync.system.dataclass import dataclass

# Registry, template of the tag, and the paths with their placeholders.
_Target = tuple[str, str, tuple[str, ...]]
# CEL limits how deep an expression may be.
_MAX_RULES = 100
_AGAIN = "the new name would be rewritten again"


@dataclass(frozen=True, slots=True)
class NameRule:
    """Where the images are that a route selects."""

    route: Route
    place: Place


def find_name_rules(routes: Sequence[Route], findings: Findings, *, runtime: str) -> tuple[NameRule, ...]:
    """
    Return one rule for each namespace and repository, the most exact first.

    What cannot be expressed is an error in *findings*; a destination that is left out is a warning.
    """
    by_scope = group_by_scope(routes)
    refusals = Refusals()
    usable = {(route.mirror.name, route.scope): refusals.keep_usable(route, lambda place: _refuse(place, runtime)) for route in routes}
    refusals.report(findings)
    rules = []
    for scope, group in by_scope.items():
        others = [route for route in iter_covering(scope, by_scope) if route is not group[0]]
        places = usable[group[0].mirror.name, scope]
        shared = [place for place in places if all(_make_target(place) in set(_list_targets(route, scope)) for route in others)]
        if shared:
            rules.append(NameRule(group[0], shared[0]))
        elif places:
            _add_conflict(group[0], others, findings, runtime)
    for rule in rules[_MAX_RULES:]:
        message = f"{rule.route.scope} is more than a policy for {runtime} can have: {_MAX_RULES} namespaces and repositories"
        findings.add_error(rule.route.mirror, message, "declare namespaces instead of single repositories, or use `runtime-config podman`")
    rules.sort(key=lambda rule: (not rule.route.scope.is_exact, -len(rule.route.scope.path)))
    _check_results(rules, by_scope, findings)
    return tuple(rules)


def _refuse(place: Place, runtime: str) -> Refusal | None:
    if "{tag}" not in place.destination.tag:
        return Refusal(f"`tag: {place.destination.tag}` is the same for all tags, and {runtime} cannot tell which one it is", "use {tag} in the template")
    if place.is_complete or place.is_flat:
        return None
    return Refusal(f"`repository: {place.destination.repository}` uses {{flat}} and other fields, and {runtime} cannot", "use {flat} alone, or {path}")


def _make_target(place: Place) -> _Target:
    return place.registry, place.destination.tag, place.texts


def _list_targets(route: Route, scope: Scope) -> Iterator[_Target]:
    """Yield where *route* has *scope*, if one rule can say it."""
    for place in route.places:
        if route.scope == scope:
            yield _make_target(place)
        elif scope.is_exact:
            relative = scope.path.removeprefix(route.scope.path).lstrip("/")
            try:
                path = expand_repository(place.destination, scope.path, relative=relative, registry=scope.registry)
            except InvalidReferenceError:
                continue
            yield place.registry, place.destination.tag, (path,)
        elif place.prefix is not None:
            below = scope.path.removeprefix(route.scope.path).lstrip("/")
            moved = [part for part in (place.prefix, below) if part]
            yield place.registry, place.destination.tag, tuple("/".join([*moved, *COMPONENTS[:depth]]) for depth in range(1, len(place.texts) + 1))


def _add_conflict(route: Route, others: Sequence[Route], findings: Findings, runtime: str) -> None:
    message = f"{describe_mirrors([others[0].mirror])} has images of {route.scope} in another place, and {runtime} knows one place for each name"
    findings.add_error(route.mirror, message, "give both one destination, or use `runtime-config podman`")


def _check_results(rules: Sequence[NameRule], by_scope: Mapping[Scope, Sequence[Route]], findings: Findings) -> None:
    """Add an error for each rule whose result is a source too."""
    for rule in rules:
        fixed = f"{rule.place.registry}/{rule.place.texts[0].partition(COMPONENTS[0])[0]}"
        for scope in by_scope:
            source = f"{scope}/"
            if source.startswith(fixed) or f"{fixed}/".startswith(source):
                message = f"{rule.route.scope} goes to {fixed.rstrip('/')}, and {scope} is a source itself: {_AGAIN}"
                findings.add_error(rule.route.mirror, message, "use another destination, or `runtime-config podman`")
                break
