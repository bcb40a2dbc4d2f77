"""What planning collects about one mirror."""

from __future__ import annotations

from dataclasses import dataclass, field

from imgsync.config.model import Mirror
from imgsync.listing.model import ListedTag
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Reference
from imgsync.plan.list_repositories import SourceRepository
from imgsync.plan.model import Change, FilterStep, PlanError


@dataclass(frozen=True, slots=True)
class SelectedTags:
    """
    The selected tags of one repository.

    `certain` says that a listing contains them. `errors` are about tags whose date decides and cannot be read.
    """

    repository: SourceRepository
    tags: tuple[ListedTag, ...]
    certain: bool
    steps: tuple[FilterStep, ...]
    warnings: tuple[str, ...] = ()
    errors: tuple[PlanError, ...] = ()


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
