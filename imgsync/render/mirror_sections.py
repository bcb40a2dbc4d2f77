"""A plan grouped by mirror, and image names within a mirror."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator

from imgsync.oci.spec.reference import Repository
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.model import Action, Change, KeptTags, MirrorNotes, Plan, PlanError
from imgsync.plan.packed_changes import PackedChanges
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class MirrorSection:
    """
    The part of a plan about one mirror, in its order.

    `kept` are more kept changes, which take time to read.
    """

    notes: MirrorNotes
    changes: PackedChanges
    errors: tuple[PlanError, ...]
    gone: tuple[GoneTag, ...] = ()
    kept: KeptTags[Change] | tuple[Change, ...] = ()

    def select(self, *actions: Action) -> Iterator[Change]:
        """Yield the changes with one of *actions*."""
        yield from self.changes.select(actions)
        yield from self.kept if Action.KEEP in actions else ()

    def count(self, action: Action) -> int:
        """Return the number of changes with *action*."""
        return len(self.changes.select((action,))) + (len(self.kept) if action is Action.KEEP else 0)


def group_by_mirror(plan: Plan) -> tuple[MirrorSection, ...]:
    """Return a section per mirror."""
    # A saved plan may lack the notes of a mirror.
    changes: defaultdict[str, PackedChanges] = defaultdict(PackedChanges)
    errors: defaultdict[str, list[PlanError]] = defaultdict(list)
    for change in plan.changes:
        changes[change.mirror].append(change)
    for error in plan.errors:
        errors[error.mirror].append(error)
    gone: defaultdict[str, list[GoneTag]] = defaultdict(list)
    for tag in plan.gone:
        gone[tag.mirror].append(tag)
    known = {notes.mirror: notes for notes in plan.mirrors}
    kept = {some.mirror: some for some in plan.kept if len(some)}
    return tuple(
        MirrorSection(known.get(name) or MirrorNotes(name, "", (), "", 0), changes[name], tuple(errors[name]), tuple(gone[name]), kept.get(name, ()))
        for name in merge_names(known, changes, errors, gone, kept)
    )


@dataclass(frozen=True, slots=True)
class DestinationGroup:
    """Changes below destinations; each of the *prefixes* gets the same ones."""

    prefixes: tuple[str, ...]
    changes: PackedChanges


def group_by_destination(changes: Iterable[Change], destinations: tuple[str, ...]) -> tuple[DestinationGroup, ...]:
    """Return *changes* by destination; equal groups become one."""
    found: defaultdict[str, PackedChanges] = defaultdict(PackedChanges)
    prefixes: dict[Repository, str] = {}
    for change in changes:
        repository = change.destination.repository
        if repository not in prefixes:
            prefixes[repository] = _find_prefix(str(repository), destinations)
        found[prefixes[repository]].append(change)
    if len(found) <= 1:
        return tuple(DestinationGroup((prefix,) if prefix else (), some) for prefix, some in found.items())
    merged: defaultdict[bytes, list[str]] = defaultdict(list)
    for prefix in sorted(found, key=(*destinations, "").index):
        merged[_hash_shown(found[prefix], prefix)].append(prefix)
    return tuple(DestinationGroup(tuple(filter(None, some)), found[some[0]]) for some in merged.values())


def _find_prefix(repository: str, destinations: Iterable[str]) -> str:
    """Return the longest of *destinations* that *repository* is below."""
    return max((prefix for prefix in destinations if repository.startswith(f"{prefix}/")), key=len, default="")


def _hash_shown(changes: Iterable[Change], prefix: str) -> bytes:
    """Return a hash of what is shown of *changes* below *prefix*."""
    found = hashlib.sha256()
    for change in changes:
        shown = (change.action.value, str(change.source), change.size_bytes, change.reason, change.held_until, str(change.destination).removeprefix(prefix))
        found.update(repr(shown).encode("utf-8", "surrogatepass"))
    return found.digest()


def merge_names(*names: Iterable[str]) -> tuple[str, ...]:
    """Return every name once, in order of first appearance."""
    return tuple(dict.fromkeys(name for some in names for name in some))


def split_image_name(change: Change, destinations: tuple[str, ...]) -> tuple[str, str]:
    """Return the image name, and the destination unless the heading shows it."""
    source, destination = str(change.source), str(change.destination)
    name = source.partition("/")[2] or source
    is_in_heading = destinations == (destination.removesuffix(f"/{name}"),)
    return name, "" if is_in_heading else destination
