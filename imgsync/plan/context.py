"""What one plan asks with: shared by all of its mirrors, so that nobody is asked twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from imgsync.concurrency.stop import Stop
from imgsync.images.completeness import Completeness
from imgsync.images.image import ManifestCache
from imgsync.images.referrers import ReferrerReader
from imgsync.logs.logger import Logger
from imgsync.plan.destination_tags import Served
from imgsync.policy.policy import Gate
from imgsync.registries.clients import Registries
from imgsync.state import StateStore


@dataclass(frozen=True, slots=True)
class Inquiry:
    """
    Registries and the state, a log, and a stop that may end it.

    `manifests` and `referrers` are those read in this run, `gate` decides which images its policies admit;
    `refresh` asks the registries instead of the state, `now` is the moment of the plan; destinations are asked through `served` and `completeness`.
    """

    registries: Registries
    manifests: ManifestCache
    referrers: ReferrerReader
    gate: Gate
    state: StateStore
    refresh: bool
    now: datetime
    stop: Stop
    log: Logger
    completeness: Completeness
    served: Served = field(default_factory=Served)
