"""What a plan or a report holds of each mirror, in the plan's order, and how its images are called there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from imgsync.plan.model import Action, Change, MirrorNotes, Plan, PlanError


@dataclass(frozen=True, slots=True)
class MirrorSection:
    """One mirror: what is known of it, its changes and its errors, both in the plan's order."""

    notes: MirrorNotes
    changes: tuple[Change, ...]
    errors: tuple[PlanError, ...]

    def of(self, *actions: Action) -> tuple[Change, ...]:
        """Return the changes whose action is one of *actions*."""
        return tuple(change for change in self.changes if change.action in actions)


def group_by_mirror(plan: Plan) -> tuple[MirrorSection, ...]:
    """Return a section per mirror; one that the plan has no notes of (a plan read from a file may lack them) knows its name alone."""
    changes: defaultdict[str, list[Change]] = defaultdict(list)
    errors: defaultdict[str, list[PlanError]] = defaultdict(list)
    for change in plan.changes:
        changes[change.mirror].append(change)
    for error in plan.errors:
        errors[error.mirror].append(error)
    known = {notes.mirror: notes for notes in plan.mirrors}
    return tuple(
        MirrorSection(known.get(name) or MirrorNotes(name, "", (), "", 0), tuple(changes[name]), tuple(errors[name]))
        for name in merge_names(known, changes, errors)
    )


def merge_names(*names: Iterable[str]) -> tuple[str, ...]:
    """Return every name once, in the order of their first mention."""
    return tuple(dict.fromkeys(name for some in names for name in some))


def split_image_name(change: Change, destinations: tuple[str, ...]) -> tuple[str, str]:
    """Return the source without its registry; and the destination, empty where the mirror's heading tells it already."""
    name = change.source.partition("/")[2] or change.source
    told = destinations == (change.destination.removesuffix(f"/{name}"),)
    return name, "" if told else change.destination
