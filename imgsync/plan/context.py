"""What one plan asks with: shared by all of its mirrors, so that nobody is asked twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from imgsync.concurrency.stop import Stop
from imgsync.images.completeness import Completeness
from imgsync.logs.events import Log
from imgsync.plan.destination_tags import Served
from imgsync.registries.clients import Registries
from imgsync.state import StateStore


@dataclass(frozen=True, slots=True)
class Inquiry:
    """
    Registries and the state, a log, and a stop that may end it.

    `refresh` asks the registries instead of the state, `now` is the moment of the plan; destinations are asked through `served` and `completeness`.
    """

    registries: Registries
    state: StateStore
    refresh: bool
    now: datetime
    stop: Stop
    log: Log
    completeness: Completeness
    served: Served = field(default_factory=Served)
