"""What the page, the API and the metrics show, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from imgsync.errors import FileError
from imgsync.plan.model import PlanError
from imgsync.progress.counts import Counts
from imgsync.serve.model import RunOrder, Trigger
from imgsync.system.dataclass import dataclass

# Of the durations of runs, in seconds.
BOUNDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)


class TagState(StrEnum):
    """How one tag of a mirror stands, as last seen."""

    IN_STEP = "in_step"
    PENDING = "pending"
    HELD = "held"
    REFUSED = "refused"
    FAILING = "failing"
    GONE = "gone"


class MirrorState(StrEnum):
    """
    How a mirror stands: the worst of its tags, or of itself.

    In this order, the first that applies: suspended, unchecked (no plan yet as it is declared), failing, refused, pending, held, gone, in step.
    """

    SUSPENDED = "suspended"
    UNCHECKED = "unchecked"
    FAILING = "failing"
    REFUSED = "refused"
    PENDING = "pending"
    HELD = "held"
    GONE = "gone"
    IN_STEP = "in_step"


@dataclass(frozen=True, slots=True)
class TagView:
    """
    One destination tag.

    `digest` is what the destination serves, "" if unknown. `reason` says why it stands so, `hint` what to do. `since` is when it became so (RFC 3339),
    "" if unknown; of a held tag it is when it will be released.
    """

    source: str
    destination: str
    state: TagState
    digest: str = ""
    reason: str = ""
    hint: str = ""
    since: str = ""


class MirrorTags(Protocol):
    """The tags of one mirror, sorted naturally by source and destination."""

    @property
    def counts(self) -> Mapping[TagState, int]:
        """Return the number of tags by state."""

    def __iter__(self) -> Iterator[TagView]:
        """Yield each; made again at each reading."""


@dataclass(frozen=True, slots=True)
class MirrorView:
    """
    One mirror as it stands.

    Attributes:
        schedule: When it runs, as text.
        next_run: None if it is suspended, or runs now.
        failures: How many runs in a row did not succeed.
        errors: What could not be planned, or applied.
        last_run: The id of its last run, "" before the first.
    """

    name: str
    source: str
    destinations: tuple[str, ...]
    file: str
    line: int
    schedule: str
    state: MirrorState = MirrorState.UNCHECKED
    description: str = ""
    counts: Mapping[TagState, int] = field(default_factory=dict)
    errors: tuple[PlanError, ...] = ()
    notes: tuple[str, ...] = ()
    checked_at: datetime | None = None
    last_success: datetime | None = None
    next_run: datetime | None = None
    failures: int = 0
    last_run: str = ""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """
    One run of the history.

    `counts` has the number of tags by result of `apply`, or by action of a plan that was not applied. `is_partial` if it covered parts of its mirrors
    only. `exit_code` is that of `plan` or `apply`.
    """

    id: str
    trigger: Trigger
    mirrors: tuple[str, ...]
    applies: bool
    is_partial: bool
    began_at: datetime
    ended_at: datetime
    counts: Mapping[str, int] = field(default_factory=dict)
    bytes_copied: int = 0
    exit_code: int = 0
    error: str = ""
    hint: str = ""
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class RunningView:
    """The run under way; `counts` go on counting."""

    order: RunOrder
    began_at: datetime
    counts: Counts


@dataclass(frozen=True, slots=True)
class ConfigurationView:
    """
    The configuration in use, and what is wrong with a newer one.

    `origin` is the folder, or the URL and branch without a login. `revision` is the commit in use, "" for a folder. `errors` are those of the files of
    `failed_revision`, which are not in use. `checked_at` is when the origin could last be read. `fault` says why it cannot be, "" if it can.
    """

    origin: str
    revision: str = ""
    loaded_at: datetime | None = None
    checked_at: datetime | None = None
    errors: tuple[FileError, ...] = ()
    failed_revision: str = ""
    warnings: tuple[FileError, ...] = ()
    fault: str = ""


@dataclass(slots=True)
class EventCounts:
    """
    What came of the events of one sender since the start.

    `accepted` gave a hint for a mirror; `irrelevant` were valid, but about nothing that is mirrored; `repeated` came a second time within minutes;
    `refused` counts the others by reason.
    """

    accepted: int = 0
    irrelevant: int = 0
    repeated: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LeaseView:
    """Whether this process may write; `holder` is who may, "" if none."""

    name: str
    is_held: bool
    holder: str
    since: datetime | None = None
    fault: str = ""


@dataclass(slots=True)
class RunTotals:
    """
    The runs since the start.

    `counts` are by trigger and by how they ended: succeeded, failed, or stopped with work left. `durations` counts those of at most `BOUNDS` seconds, by
    bound, and the last one all.
    """

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    durations: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def add(self, trigger: Trigger, ending: str, seconds: float) -> None:
        """Count a run of *seconds*."""
        key = (trigger.value, ending)
        self.counts[key] = self.counts.get(key, 0) + 1
        self.seconds += seconds
        for number, bound in enumerate((*BOUNDS, float("inf"))):
            self.durations[number] += seconds <= bound
