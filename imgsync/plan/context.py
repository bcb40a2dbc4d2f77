"""What one plan asks with: shared by all of its mirrors, so that nobody is asked twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from imgsync.concurrency.stop import Stop
from imgsync.images.completeness import ContentChecker
from imgsync.images.image import ManifestCache
from imgsync.images.referrers import ReferrerReader
from imgsync.logs.logger import Logger
from imgsync.plan.destination_tags import DestinationTags
from imgsync.policy.policy import ImagePolicy
from imgsync.registries.clients import Registries
from imgsync.state import StateStore


@dataclass(frozen=True, slots=True)
class PlanContext:
    """
    Registries and the state, a log, and a stop that may end it.

    `manifests` and `referrers` are those read in this run, `policy` decides which images its policies admit;
    `refresh` asks the registries instead of the state, `now` is the moment of the plan; destinations are asked through `destination_tags` and `content`.
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
    destination_tags: DestinationTags = field(default_factory=DestinationTags)
