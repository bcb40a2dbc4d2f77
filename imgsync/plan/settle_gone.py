"""
Settle which tags are gone, once every mirror is planned.

A tag that one mirror found is not gone for another. What was gone before and was not asked for in this run stays gone.
"""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import Reference, is_pin, parse_reference
from imgsync.plan.declaration_scope import DeclarationScope
from imgsync.plan.gone_tag import Absence, GoneTag
from imgsync.plan.mirror_plan import MirrorPlan
from imgsync.state import StateStore


def settle_gone(mirrors: Sequence[MirrorPlan], state: StateStore) -> None:
    """Drop repetitions from *mirrors*, and add what is still gone."""
    if not state.gone_since and not any(one.gone for one in mirrors):
        return
    # Only of these, since the plan may have a million others.
    doubtful = {*state.gone_since, *(str(tag.destination) for one in mirrors for tag in one.gone)}
    planned = ((str(change.destination), change.source in one.unchecked) for one in mirrors for change in one.iter_changes())
    settled = {destination for destination, is_unchecked in planned if destination in doubtful and not is_unchecked}
    for one in mirrors:
        one.gone = [tag for tag in one.gone if _add(settled, str(tag.destination))]
    settled.update(destination for one in mirrors for destination in one.returned)
    for destination, since in state.gone_since.items():
        if destination not in settled:
            _add_unchecked(mirrors, destination, since, state)


def _add(known: set[str], text: str) -> bool:
    is_new = text not in known
    known.add(text)
    return is_new


def _add_unchecked(mirrors: Sequence[MirrorPlan], destination: str, since: str, state: StateStore) -> None:
    """Add a tag that is still gone to its mirror."""
    record = state.get(destination)
    if record is None:
        return
    try:
        source, place = parse_reference(record.source), parse_reference(destination)
    except InvalidReferenceError:
        return
    for one in mirrors:
        scope = DeclarationScope(one.mirror)
        for declared in _list_names(source, one):
            is_judged = one.whole and source.repository in one.judged and declared not in one.unchecked
            if not is_judged and scope.covers(declared, place) and (one.part is None or one.part.has(declared)):
                one.gone.append(GoneTag(one.mirror.name, declared, place, record.digest, since, Absence.UNCHECKED))
                return


def _list_names(source: Reference, one: MirrorPlan) -> list[Reference]:
    """Return *source*, and the pins that the mirror declares of its tag."""
    pins = [name for name in one.mirror.tags.names if is_pin(name) and name.partition("@")[0] == source.tag]
    return [source, *(source.repository.with_name(name) for name in pins)]
