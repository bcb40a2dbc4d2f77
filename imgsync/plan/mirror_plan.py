"""What planning gathers about one mirror while it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field

from imgsync.config.model import Mirror
from imgsync.oci.listing.model import ListedTag
from imgsync.oci.spec.manifest import Descriptor
from imgsync.oci.spec.reference import Reference
from imgsync.plan.list_repositories import SourceRepository
from imgsync.plan.model import Change, FilterStep, PlanError


@dataclass(frozen=True, slots=True)
class SelectedTags:
    """The tags of one repository that a mirror wants; `certain` when a listing said that they exist."""

    repository: SourceRepository
    tags: tuple[ListedTag, ...]
    certain: bool
    steps: tuple[FilterStep, ...]
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class MirrorPlan:
    """
    The part of a plan that is about one mirror.

    `blobs` are those of pending images by destination, `manifests` what reading them took, `pushes` how many of those are to be
    pushed; `whole` says that nothing is still to come, `incomplete` that a listing left something out that may be there.
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


def make_mirror_error(mirror: Mirror, message: str, hint: str) -> PlanError:
    """Return the error of a mirror whose numbers are outside of what it declares."""
    return PlanError(mirror.name, mirror.source.registry, message, hint)
