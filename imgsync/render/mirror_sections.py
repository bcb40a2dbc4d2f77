"""A plan grouped by mirror, and image names within a mirror."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.model import Action, Change, MirrorNotes, Plan, PlanError


@dataclass(frozen=True, slots=True)
class MirrorSection:
    """The part of a plan about one mirror, in its order."""

    notes: MirrorNotes
    changes: tuple[Change, ...]
    errors: tuple[PlanError, ...]
    gone: tuple[GoneTag, ...] = ()

    def select(self, *actions: Action) -> tuple[Change, ...]:
        """Return the changes with one of *actions*."""
        return tuple(change for change in self.changes if change.action in actions)


def group_by_mirror(plan: Plan) -> tuple[MirrorSection, ...]:
    """Return a section per mirror."""
    # A saved plan may lack the notes of a mirror.
    changes: defaultdict[str, list[Change]] = defaultdict(list)
    errors: defaultdict[str, list[PlanError]] = defaultdict(list)
    for change in plan.changes:
        changes[change.mirror].append(change)
    for error in plan.errors:
        errors[error.mirror].append(error)
    gone: defaultdict[str, list[GoneTag]] = defaultdict(list)
    for tag in plan.gone:
        gone[tag.mirror].append(tag)
    known = {notes.mirror: notes for notes in plan.mirrors}
    return tuple(
        MirrorSection(known.get(name) or MirrorNotes(name, "", (), "", 0), tuple(changes[name]), tuple(errors[name]), tuple(gone[name]))
        for name in merge_names(known, changes, errors, gone)
    )


def merge_names(*names: Iterable[str]) -> tuple[str, ...]:
    """Return every name once, in order of first appearance."""
    return tuple(dict.fromkeys(name for some in names for name in some))


def split_image_name(change: Change, destinations: tuple[str, ...]) -> tuple[str, str]:
    """Return the image name, and the destination unless the heading shows it."""
    source, destination = str(change.source), str(change.destination)
    name = source.partition("/")[2] or source
    is_in_heading = destinations == (destination.removesuffix(f"/{name}"),)
    return name, "" if is_in_heading else destination
