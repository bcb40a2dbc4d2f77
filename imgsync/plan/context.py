"""Shared context of one plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING

from imgsync.concurrency.stop import Stop
from imgsync.images.completeness import ContentChecker
from imgsync.images.external_layers import ExternalLayers
from imgsync.images.image import ManifestCache
from imgsync.images.referrers import ReferrerReader
from imgsync.logs.logger import Logger
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Reference
from imgsync.plan.destination_tags import DestinationTags
from imgsync.plan.listener import NoListener, PlanListener
from imgsync.plan.refusal import IMMUTABLE
from imgsync.policy.policy import ImagePolicy
from imgsync.registries.clients import Registries
from imgsync.state import StateStore
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.lock.load_locks import Locks


# Takes the destination, the tag there, and the blobs of the image and of its referrers.
CheckParts = Callable[[ImageStore, Reference, Sequence[Descriptor]], None]


@dataclass(frozen=True, slots=True)
class PlanContext:
    """
    What planning reads from.

    Attributes:
        registries: Makes clients.
        manifests: Manifests read in this run.
        referrers: Referrers read in this run.
        policy: Decides which images may be copied.
        state: What earlier runs pushed.
        refresh: Ask the destinations instead of the state.
        now: The time of the plan.
        stop: Ends planning early.
        log: Takes warnings.
        content: Checks which manifests and blobs the destinations hold.
        reads_records: Whether a confirmed record stands for its destination.
        external_layers: Checks which external layers the sources have.
        destination_tags: Asks the destinations for digests of tags.
        listener: Receives the progress.
        locks: The locks of the mirrors; None without `--locked` and `--frozen`.
        check_parts: Raises an error if the blobs of a pending image are neither at the source nor at its destination; None if no source leaves out any.
        why_immutable: How the reason begins if an immutable tag would move.
    """

    registries: Registries
    manifests: ManifestCache
    referrers: ReferrerReader
    policy: ImagePolicy
    state: StateStore
    refresh: bool
    now: datetime
    stop: Stop
    log: Logger
    content: ContentChecker
    reads_records: bool = True
    external_layers: ExternalLayers = field(default_factory=ExternalLayers)
    destination_tags: DestinationTags = field(default_factory=DestinationTags)
    listener: PlanListener = field(default_factory=NoListener)
    locks: Locks | None = None
    check_parts: CheckParts | None = None
    why_immutable: str = IMMUTABLE

    @property
    def is_frozen(self) -> bool:
        """Return whether only locks say what the sources have."""
        return self.locks is not None and self.locks.is_frozen
