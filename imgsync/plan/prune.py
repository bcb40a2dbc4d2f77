"""
Which tags are to be deleted: those that imgsync itself pushed, its state says so, and that no mirror selects any more.

No network, no clock. Whatever is not certain stays: nothing is deleted after any error, nor when a part of the configuration was left
out, nor what a mirror could have written that does not prune. Spec: design.md §2 `prune`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from imgsync.config.allowlist import allows, fixed_part
from imgsync.config.model import Config, Mirror
from imgsync.config.templates import expand_repository, expand_tag
from imgsync.errors import InvalidReferenceError
from imgsync.filters.globs import compile_glob
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import Reference, Repository, parse_reference
from imgsync.plan.mirror_plan import MirrorPlan, make_mirror_error
from imgsync.plan.model import Action, Change
from imgsync.state import Record, StateStore
from imgsync.text.units import format_count


def prune(config: Config, mirrors: Sequence[MirrorPlan], state: StateStore) -> str:
    """Add the deletions of mirrors that prune, and return ""; none at all where anything is uncertain: return, and note, why."""
    pruning = [one for one in mirrors if one.mirror.prune is not None and not one.mirror.suspend]
    if not pruning:
        return ""
    uncertain = _uncertain(config, mirrors)
    if uncertain:
        for one in pruning:
            one.notes.append(f"nothing is pruned: {uncertain}")
        return uncertain
    found = plan_deletions(config.mirrors, state.iter_records(), selected=set(_selected(mirrors)))
    for one in pruning:
        changes = found.get(one.mirror.name, ())
        at_most = one.mirror.prune.at_most if one.mirror.prune is not None else 0
        if len(changes) > at_most:
            going = f"{format_count(len(changes), 'tag')} {'is' if len(changes) == 1 else 'are'}"
            message = f"{going} no longer selected, more than prune at_most: {at_most}; none of them is deleted"
            one.errors.append(make_mirror_error(one.mirror, message, "if they are to go, raise `prune: {at_most: …}`; what must stay belongs into `protect`"))
        else:
            one.changes += changes
    return ""


def _uncertain(config: Config, mirrors: Sequence[MirrorPlan]) -> str:
    """Return why it is not certain what is selected, "" when it is."""
    if not config.whole:
        return "only a part of the mirrors is planned"
    if any(one.errors for one in mirrors):
        return "not everything could be planned"
    return "a listing was incomplete" if any(one.incomplete for one in mirrors) else ""


def _selected(mirrors: Iterable[MirrorPlan]) -> Iterator[str]:
    """Yield every destination reference that is selected, be the tag at its source or not."""
    for one in mirrors:
        for found in one.selected:
            source = found.repository.repository
            for destination in one.mirror.destinations:
                path = expand_repository(destination, source.path, relative=found.repository.relative, registry=source.registry)
                target = Repository(destination.registry, path)
                for tag in {*(tag.name for tag in found.tags), *one.mirror.tags.names}:
                    if not is_digest(tag) or "{" not in destination.tag:
                        yield str(target.with_tag(expand_tag(destination, tag)))


def plan_deletions(mirrors: Sequence[Mirror], records: Iterable[Record], *, selected: Collection[str]) -> Mapping[str, tuple[Change, ...]]:
    """
    Return by mirror the tags to delete, of those that *records* know.

    *selected* are the destination references that any mirror selects, also those its source lacks at the moment.
    """
    found: dict[str, list[Change]] = {}
    for record in records:
        pushed = _pushed(record) if record.destination not in selected else None
        if pushed is not None and (owner := _owner(mirrors, *pushed)) is not None:
            found.setdefault(owner.name, []).append(_deletion(owner, record, *pushed))
    return {name: tuple(changes) for name, changes in found.items()}


def _pushed(record: Record) -> tuple[Reference, Reference] | None:
    """Return the source and the tag that *record* says imgsync pushed, None for one that was adopted, or is not a tag."""
    try:
        source, destination = parse_reference(record.source), parse_reference(record.destination)
    except InvalidReferenceError:
        return None
    return (source, destination) if record.applied_at and destination.tag else None


def _owner(mirrors: Sequence[Mirror], source: Reference, destination: Reference) -> Mirror | None:
    """Return the mirror that may delete *destination*; None if any mirror that could have written it does not prune, or protects it."""
    owners = [mirror for mirror in mirrors if _could_write(mirror, source, destination)]
    return owners[0] if owners and all(is_prunable(mirror, destination) for mirror in owners) else None


def _could_write(mirror: Mirror, source: Reference, destination: Reference) -> bool:
    prefixes = tuple(fixed_part(one) for one in mirror.destinations)
    return source.repository.registry == mirror.source.registry and allows(prefixes, str(destination.repository))


def is_prunable(mirror: Mirror, reference: Reference) -> bool:
    """Return whether *mirror* deletes what it no longer selects, and does not protect *reference*."""
    if mirror.prune is None or mirror.suspend:
        return False
    return not any(compile_glob(text).fullmatch(reference.tag) for text in mirror.prune.protect)


def _deletion(mirror: Mirror, record: Record, source: Reference, destination: Reference) -> Change:
    return Change(
        action=Action.DELETE,
        mirror=mirror.name,
        source=source,
        source_digest=None,
        destination=destination,
        destination_digest=record.digest,
        media_type=record.media_type or None,
        size_bytes=record.size_bytes or None,
        reason=f"no longer selected; pushed by imgsync on {record.applied_at.partition('T')[0]}",
    )
