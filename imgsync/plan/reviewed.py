"""
A saved plan on its way to being applied, exactly as it was reviewed (design.md §4).

Nothing is decided anew: what was done meanwhile is kept, what the declarations do not cover is refused, and a tag that moved is told of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from imgsync.config.model import Config, Mirror
from imgsync.config.reach import allows, fixed_part
from imgsync.errors import ImgsyncError, UsageError
from imgsync.oci.reference import Reference, parse_reference
from imgsync.plan.ahead import OnPending
from imgsync.plan.decide import short
from imgsync.plan.model import COPIES, Action, Change, Plan
from imgsync.registries import Registries
from imgsync.state import StateStore
from imgsync.workers import map_unordered


def reviewed_plan(plan: Plan, config: Config, registries: Registries, state: StateStore, *, check: Callable[[], None], on_pending: OnPending | None) -> Plan:
    """
    Return *plan* as it is to be applied now, for *config*, with notes on the tags that moved since; *on_pending* is told of what may begin at once.

    Raises:
        UsageError: A change is outside of what its mirror declares.
    """
    mirrors = {mirror.name: mirror for mirror in config.mirrors}
    for change in plan.changes:
        _check_declared(change, mirrors.get(change.mirror))
    current = replace(plan, changes=tuple(_now(change, mirrors[change.mirror], state) for change in plan.changes), saved_id=plan.id)
    together: dict[tuple[str, str], list[Change]] = {}
    for change in current.copies:
        together.setdefault((change.mirror, change.source), []).append(change)
    if on_pending is not None:
        for changes in together.values():
            on_pending(changes)

    def moved(changes: list[Change]) -> str:
        return _moved(changes[0], mirrors[changes[0].mirror], registries, check=check)

    at_once = max((mirror.concurrency.queries for mirror in config.mirrors), default=1)
    notes = sorted(note for note in map_unordered(moved, together.values(), limit=at_once) if note)
    return replace(current, notes=tuple(notes))


def _check_declared(change: Change, mirror: Mirror | None) -> None:
    reached = mirror is not None and all(_is_reached(change, mirror))
    if not reached:
        raise UsageError(
            f"the plan would write {change.destination} from {change.source} for the mirror '{change.mirror}', which declares no such thing",
            hint="make the plan again: imgsync plan --out FILE",
        )


def _is_reached(change: Change, mirror: Mirror) -> Iterator[bool]:
    source, destination = parse_reference(change.source), parse_reference(change.destination)
    below = (*mirror.source.repositories, *mirror.source.namespaces)
    yield source.repository.registry == mirror.source.registry
    # What is to be deleted may come from a repository that is no longer declared.
    yield change.action is Action.DELETE or "" in below or allows(below, source.repository.path)
    yield bool(destination.tag) and allows(tuple(fixed_part(one) for one in mirror.destinations), str(destination.repository))
    yield change.action is not Action.DELETE or mirror.prune is not None
    yield change.action not in COPIES or change.source_digest is not None


def _now(change: Change, mirror: Mirror, state: StateStore) -> Change:
    """Return *change* as it stands now: what an earlier apply of the same plan did is not done again."""
    record = state.record(change.destination)
    if change.action is Action.DELETE and (record is None or not record.applied_at or record.digest != change.destination_digest):
        return replace(change, action=Action.REFUSE, reason="the state does not say any more that imgsync pushed this; it is left alone")
    done = record is not None and (record.source_digest, record.selection) == (change.source_digest, mirror.selection)
    if change.action in COPIES and record is not None and done and record.digest != change.destination_digest:
        return replace(change, action=Action.KEEP, destination_digest=record.digest, reason="applied since the plan was made")
    return change


def _moved(change: Change, mirror: Mirror, registries: Registries, *, check: Callable[[], None]) -> str:
    """Return a note about the source tag of *change* when it no longer names what was reviewed, "" when it does."""
    source = parse_reference(change.source)
    if not source.tag:
        return ""
    reviewed = short(change.source_digest or "")
    try:
        found = registries.source(mirror, check=check).resolve(Reference(source.repository, tag=source.tag))
    except ImgsyncError as error:
        return f"{source}: whether it moved since the plan was made is not known ({error.message}); {reviewed} is copied as reviewed"
    if found is None:
        return f"{source} is gone since the plan was made; {reviewed} is copied as reviewed"
    if found.digest != change.source_digest:
        return f"{source} moved since the plan was made, {reviewed} → {short(found.digest)}; {reviewed} is copied as reviewed"
    return ""
