"""What planning collects about one mirror."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from imgsync.config.model import Mirror
from imgsync.listing.model import ListedTag
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.kept_changes import KeptChanges
from imgsync.plan.list_repositories import SourceRepository
from imgsync.plan.model import NOT_FOUND, Action, Change, FilterStep, PlanError
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.plan.mirror_part import MirrorPart

# Parts in which destinations are compared, so that few are sorted at once.
PLACES = 16


@dataclass(frozen=True, slots=True)
class SelectedTags:
    """
    The selected tags of one repository.

    `errors` are about tags that cannot be selected, `missing` are exact names that a listing lacks. `gone` were mirrored, and a complete listing
    lacks them; without one, `is_judged` is False. `returned` are destinations whose tag was gone and is listed. `unlisted` are selected without a listing.
    `locked` are the tags of the lock with their digests, None without one.
    """

    repository: SourceRepository
    tags: Collection[ListedTag]
    steps: tuple[FilterStep, ...]
    warnings: tuple[str, ...] = ()
    errors: tuple[PlanError, ...] = ()
    missing: tuple[str, ...] = ()
    gone: tuple[GoneTag, ...] = ()
    returned: tuple[str, ...] = ()
    unlisted: frozenset[str] = frozenset()
    is_judged: bool = True
    locked: Collection[ListedTag] | None = None

    @property
    def lists_nothing(self) -> bool:
        """Return whether the source lists no tag of the repository."""
        return any(step.step == "listed" and not step.left for step in self.steps)

    @property
    def planned(self) -> Collection[ListedTag]:
        """Return the tags to plan, from the lock if one is used."""
        return self.tags if self.locked is None else self.locked


def _make_places() -> tuple[array[int], ...]:
    return tuple(array("q") for _ in range(PLACES))


@dataclass(slots=True)
class MirrorPlan:
    """
    The part of a plan about one mirror.

    Attributes:
        changes: All changes but the kept ones.
        kept: The kept changes of this mirror.
        places: A hash of the destination of each change, by its last bits.
        blobs: Blobs of pending images, by destination.
        manifests: Digests of the manifests that copying reads.
        pushes: Number of manifests that copying pushes.
        whole: Planning of the mirror has finished.
        incomplete: A listing skipped something that may exist.
        pruning_skipped: Why nothing of this mirror is pruned.
        missing: Exact names that do not exist, by repository of a namespace.
        absent: Exact names that an exact repository lacks, with the destinations that lack them too.
        gone: Tags that stay although the source no longer has them.
        returned: Destinations whose tag was gone, and is back.
        judged: Source repositories whose answer was complete.
        unchecked: Sources that could not be asked for.
        lost: Destinations that lack a tag which the state records.
        part: The images that `--only` names, None for all.
        is_frozen: The lock is the selection, and the source was not asked.
    """

    mirror: Mirror
    kept: KeptChanges
    changes: list[Change] = field(default_factory=list)
    errors: list[PlanError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    selected: list[SelectedTags] = field(default_factory=list)
    blobs: dict[Reference, tuple[Descriptor, ...]] = field(default_factory=dict)
    manifests: set[str] = field(default_factory=set)
    pushes: int = 0
    whole: bool = False
    incomplete: bool = False
    pruning_skipped: str = ""
    missing: dict[Repository, list[str]] = field(default_factory=dict)
    absent: dict[Reference, Sequence[Reference]] = field(default_factory=dict)
    gone: list[GoneTag] = field(default_factory=list)
    returned: set[str] = field(default_factory=set)
    judged: set[Repository] = field(default_factory=set)
    unchecked: set[Reference] = field(default_factory=set)
    lost: set[Reference] = field(default_factory=set)
    part: MirrorPart | None = None
    is_frozen: bool = False
    places: tuple[array[int], ...] = field(default_factory=_make_places)

    def add_change(self, change: Change) -> None:
        """Add *change* of this mirror."""
        place = hash(str(change.destination))
        self.places[place % PLACES].append(place)
        if change.action is Action.KEEP:
            self.kept.add(change)
        else:
            self.changes.append(change)

    def clear_changes(self) -> None:
        """Drop every change."""
        self.changes.clear()
        self.kept = KeptChanges(self.mirror.name)
        self.places = _make_places()

    def iter_changes(self) -> Iterator[Change]:
        """Yield every change, the kept ones last."""
        yield from self.changes
        yield from self.kept

    def add_missing(self, repository: Repository, names: Iterable[str]) -> None:
        """Add *names* that *repository* does not have."""
        self.missing.setdefault(repository, []).extend(names)

    def add_gone(self, selected: SelectedTags) -> None:
        """Add what *selected* shows of tags that are gone, or back."""
        self.gone += selected.gone
        self.returned.update(selected.returned)
        if selected.is_judged:
            self.judged.add(selected.repository.repository)

    def count_served(self, gone: Iterable[GoneTag]) -> int:
        """Return how many of the *gone* tags count for `at_least`."""
        # With `gone: true` they are about to be deleted, and must not hide that the source lacks them.
        deletes = self.mirror.prune is not None and self.mirror.prune.gone
        return 0 if deletes else len({tag.source for tag in gone if tag.is_certain})

    @property
    def steps(self) -> tuple[FilterStep, ...]:
        """Return what each filter step kept, and which names are missing."""
        found: list[FilterStep] = []
        for selected in sorted(self.selected, key=lambda one: one.repository.repository):
            repository = selected.repository.repository
            names = self.missing.get(repository)
            found += selected.steps
            found += [FilterStep(str(repository), NOT_FOUND, len(selected.tags), tuple(names))] if names else []
        return tuple(found)
