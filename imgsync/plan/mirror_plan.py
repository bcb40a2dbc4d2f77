"""What planning collects about one mirror."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from imgsync.config.model import Mirror
from imgsync.listing.model import ListedTag
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.list_repositories import SourceRepository
from imgsync.plan.model import NOT_FOUND, Change, FilterStep, PlanError


@dataclass(frozen=True, slots=True)
class SelectedTags:
    """
    The selected tags of one repository.

    `errors` are about tags whose date decides and cannot be read, `missing` are exact names that a listing lacks.
    """

    repository: SourceRepository
    tags: tuple[ListedTag, ...]
    steps: tuple[FilterStep, ...]
    warnings: tuple[str, ...] = ()
    errors: tuple[PlanError, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(slots=True)
class MirrorPlan:
    """
    The part of a plan about one mirror.

    Attributes:
        blobs: Blobs of pending images, by destination.
        manifests: Digests of the manifests that copying reads.
        pushes: Number of manifests that copying pushes.
        whole: Planning of the mirror has finished.
        incomplete: A listing skipped something that may exist.
        pruning_skipped: Why nothing of this mirror is pruned.
        missing: Exact names that do not exist, by repository of a namespace.
    """

    mirror: Mirror
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

    def add_missing(self, repository: Repository, names: Iterable[str]) -> None:
        """Add *names* that *repository* does not have."""
        self.missing.setdefault(repository, []).extend(names)

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
