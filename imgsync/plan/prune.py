"""
Find tags that imgsync pushed and no mirror selects.

A mirror deletes only its own tags: those that it pushed, according to the state, below its destinations. A record of an earlier version has no
mirror; its tag belongs to the mirrors that can write it. If anything is uncertain, nothing is deleted: after an error, when only some mirrors
are planned, or when another mirror that can write the tag keeps it.
No network, no clock. Spec: docs/how-to/prune.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter

from imgsync.config.model import Config, Mirror
from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import Reference, parse_reference
from imgsync.plan.destinations import find_reference
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.mirror_deletions import THEM, MirrorDeletions
from imgsync.plan.mirror_plan import MirrorPlan
from imgsync.plan.model import Action, Change
from imgsync.plan.plan_error import make_mirror_error
from imgsync.plan.prunable import explain_kept
from imgsync.state import Record, StateStore
from imgsync.state.record import BY_HAND
from imgsync.system.sorted_runs import SortedTexts, iter_unknown
from imgsync.text.units import format_subject


def prune(config: Config, mirrors: Sequence[MirrorPlan], state: StateStore) -> str:
    """Add deletions to *mirrors*; return why nothing is pruned, or ""."""
    pruning = [one for one in mirrors if one.mirror.prune is not None and not one.mirror.suspend]
    if not pruning:
        return ""
    uncertain = _explain_uncertainty(config, mirrors)
    if uncertain:
        for one in pruning:
            one.notes.append(f"nothing is pruned: {uncertain}")
            one.pruning_skipped = uncertain
        return uncertain
    gone = {str(tag.destination): tag for one in mirrors for tag in one.gone}
    selected = SortedTexts()
    selected.update(_list_selected(mirrors))
    found = plan_deletions(config.mirrors, state.iter_records(), selected=selected, gone=gone, others=config.others)
    for one in pruning:
        _add_deletions(one, found[one.mirror.name].changes)
        one.notes += found[one.mirror.name].notes
    deleted = {change.destination for one in pruning for change in one.changes if change.gone_since}
    for one in mirrors:
        one.gone = [tag for tag in one.gone if tag.destination not in deleted]
    return ""


def _add_deletions(result: MirrorPlan, changes: Collection[Change]) -> None:
    """Add *changes* to *result*, unless they exceed `at_most`."""
    at_most = result.mirror.prune.at_most if result.mirror.prune is not None else 0
    if len(changes) <= at_most:
        result.changes += changes
        return
    why = "no longer selected or gone at the source" if any(change.gone_since for change in changes) else "no longer selected"
    message = f"{format_subject(len(changes), 'tag')} {why}, more than prune at_most: {at_most}; none of them is deleted"
    result.errors.append(make_mirror_error(result.mirror, message, "to delete them, raise `prune: {at_most: …}`; to keep tags, add them to `protect`"))


def _explain_uncertainty(config: Config, mirrors: Sequence[MirrorPlan]) -> str:
    """Return why the selection is uncertain, or ""."""
    if not config.is_complete and not config.others:
        return "only a part of the mirrors is planned"
    if any(one.is_frozen for one in mirrors):
        return "--frozen asks no source"
    if any(one.errors for one in mirrors):
        return "not everything could be planned"
    return "a listing was incomplete" if any(one.incomplete for one in mirrors) else ""


def _list_selected(mirrors: Iterable[MirrorPlan]) -> Iterator[str]:
    """Yield every selected destination, even without a source tag."""
    for one in mirrors:
        for found in one.selected:
            source = found.repository.repository
            for destination in one.mirror.destinations:
                for name in chain((tag.name for tag in chain(found.tags, found.locked or ())), one.mirror.tags.names):
                    reference = source.with_name(name)
                    # What cannot be written there was never pushed.
                    with contextlib.suppress(InvalidReferenceError):
                        yield str(find_reference(destination, source, found.repository.relative, reference.tag_or_digest))


def plan_deletions(
    mirrors: Sequence[Mirror], records: Iterable[Record], *, selected: Iterable[str], gone: Mapping[str, GoneTag], others: Sequence[Mirror] = ()
) -> dict[str, MirrorDeletions]:
    """
    Return the tags to delete, by mirror.

    Args:
        mirrors: The declared mirrors.
        records: What imgsync pushed, sorted by destination.
        selected: Destination references that a mirror selects, sorted, even if the source lacks them at the moment.
        gone: What mirrors would select if the source still had it, by destination.
        others: Declared mirrors that are not planned, so that it is not known what they select.
    """
    declared = [*map(MirrorDeletions, mirrors), *(MirrorDeletions(mirror, is_planned=False) for mirror in others)]
    for record in iter_unknown(records, selected, key=attrgetter("destination")):
        pushed = _parse_pushed(record)
        tag = gone.get(record.destination)
        # An earlier run must have seen that it is gone, so that one wrong answer deletes nothing.
        if pushed is not None and (tag is None or tag.is_deletable):
            _judge(declared, record, *pushed, tag=tag)
    return {one.mirror.name: one for one in declared}


def _parse_pushed(record: Record) -> tuple[Reference, Reference] | None:
    """Return the references of *record* if imgsync pushed that tag."""
    try:
        source, destination = parse_reference(record.source), parse_reference(record.destination)
    except InvalidReferenceError:
        return None
    return (source, destination) if record.applied_at and destination.tag else None


def _judge(mirrors: Sequence[MirrorDeletions], record: Record, source: Reference, destination: Reference, *, tag: GoneTag | None) -> None:
    """Plan the deletion of *record*, or note why it stays."""
    writers = [one for one in mirrors if one.scope.can_write(source, destination)]
    if tag is not None and any(name in one.mirror.tags.names for one in writers for name in (source.name, f"{source.tag}@{source.digest}")):
        # Declared by name: only the one who declared it stops it.
        return
    deleters = [one for one in mirrors if one.is_planned and one.scope.owns(record.mirror, source, destination)]
    if not deleters:
        _note_unowned(mirrors, record, source, destination)
        return
    reasons = {one.mirror.name: explain_kept(one.mirror, destination, gone=tag is not None) for one in deleters}
    for one in writers:
        reasons.setdefault(one.mirror.name, one.explain_objection(destination, gone=tag is not None))
    kept = {name: why for name, why in reasons.items() if why}
    if not kept:
        deleters[0].changes.append(_make_deletion(deleters[0].mirror, record, source, destination, tag=tag))
        return
    name, why = next(iter(kept.items()))
    for one in mirrors:
        if one.mirror.name in reasons.keys() - kept.keys():
            one.keep(destination, f"mirror {name} {f'pushed {THEM}' if name == record.mirror else 'can write the same destination'} and {why}")


def _note_unowned(mirrors: Sequence[MirrorDeletions], record: Record, source: Reference, destination: Reference) -> None:
    """Note that no mirror may delete *record*."""
    is_declared = any(one.mirror.name == record.mirror for one in mirrors)
    why = "no mirror declares that repository for that destination"
    if record.mirror == BY_HAND:
        why = f"`{BY_HAND}` pushed {THEM}"
    elif record.mirror:
        why = f"mirror {record.mirror} pushed {THEM} and {'no longer has that destination' if is_declared else 'is no longer declared'}"
    for one in mirrors:
        if one.mirror.name == record.mirror or one.is_near(source, destination):
            one.keep(destination, why)


def _make_deletion(mirror: Mirror, record: Record, source: Reference, destination: Reference, *, tag: GoneTag | None) -> Change:
    why = "no longer selected" if tag is None else tag.description
    return Change(
        action=Action.DELETE,
        mirror=mirror.name,
        source=source,
        source_digest=None,
        destination=destination,
        destination_digest=record.digest,
        media_type=record.media_type or None,
        size_bytes=record.size_bytes or None,
        reason=f"{why}; pushed by imgsync on {record.applied_at.partition('T')[0]}",
        gone_since=tag.since if tag is not None else None,
    )
