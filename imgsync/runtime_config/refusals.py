"""Places that a runtime cannot use, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imgsync.config.model import Mirror
from imgsync.runtime_config.model import Findings
from imgsync.runtime_config.places import Place, Scope
from imgsync.runtime_config.routes import Route, describe_destination
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a runtime cannot use a place, and a way out."""

    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class _Refused:
    mirror: Mirror
    destination: str
    refusal: Refusal
    has_other_places: bool


class Refusals:
    """
    Collects refused places of all routes.

    One that leaves a route without any place is an error, the others are warnings. Repositories that share a reason share a message.
    """

    def __init__(self) -> None:
        self._found: dict[_Refused, list[Scope]] = {}

    def keep_usable(self, route: Route, refuse: Callable[[Place], Refusal | None]) -> tuple[Place, ...]:
        """Return the places of *route* that *refuse* lets pass; add the others."""
        judged = [(place, refuse(place)) for place in route.places]
        usable = tuple(place for place, refusal in judged if refusal is None)
        self.add(route, [(place, refusal) for place, refusal in judged if refusal is not None], has_other_places=bool(usable))
        return usable

    def add(self, route: Route, refused: Sequence[tuple[Place, Refusal]], *, has_other_places: bool) -> None:
        """Add the places of *route* that are *refused*."""
        for place, refusal in refused:
            one = _Refused(route.mirror, describe_destination(place.destination), refusal, has_other_places)
            self._found.setdefault(one, []).append(route.scope)

    def report(self, findings: Findings) -> None:
        """Add all to *findings*."""
        for one, scopes in self._found.items():
            message = f"{_name_scopes(scopes)} at {one.destination}: {one.refusal.reason}"
            if one.has_other_places:
                findings.add_warning(one.mirror, f"{message}; nodes use the other destinations")
            else:
                findings.add_error(one.mirror, message, one.refusal.hint)


def refuse_renamed_tags(place: Place, runtime: str) -> Refusal:
    """Return the refusal of a place that renames tags."""
    return Refusal(f"`tag: {place.destination.tag}` renames tags, and {runtime} cannot", "use `runtime-config kyverno`, which rewrites tags, or keep the tags")


def _name_scopes(scopes: Sequence[Scope]) -> str:
    return f"{scopes[0]} and {len(scopes) - 1} more" if len(scopes) > 1 else str(scopes[0])
