"""What `imgsync serve` runs, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum

from imgsync.apply.report import Report
from imgsync.config.only_pattern import OnlyPattern
from imgsync.plan.model import Plan, PlanError
from imgsync.system.dataclass import dataclass


class Trigger(StrEnum):
    """Why a run began."""

    START = "start"
    SCHEDULE = "schedule"
    EVENT = "event"
    CHANGE = "change"
    REQUEST = "request"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Hint:
    """
    Something that an event says has changed, and no more.

    `registry` comes from our own settings. `tag` "" stands for any tag of the repository.
    """

    registry: str
    repository: str
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What a person or a program asks for; no *mirrors* means all."""

    mirrors: tuple[str, ...] = ()
    applies: bool = True


@dataclass(frozen=True, slots=True)
class RunOrder:
    """
    A run to do.

    `mirrors` are the names of its mirrors. `only` names parts of them, empty for all of each. Without `applies` it only plans. `refresh` asks the
    destinations instead of the state.
    """

    id: str
    trigger: Trigger
    mirrors: tuple[str, ...]
    applies: bool
    only: tuple[OnlyPattern, ...] = ()
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class RunResult:
    """
    What came of a run.

    `report` is None if nothing was applied. `plan` is None if there was none, and `error` and `hint` then say why. `exit_code` is what `plan` or
    `apply` would have ended with. `successes` are the last successes of all mirrors (RFC 3339), as the state has them after the run.
    `problem` says what is wrong with the state, although the run went on.
    """

    order: RunOrder
    began_at: datetime
    ended_at: datetime
    plan: Plan | None = None
    report: Report | None = None
    error: str = ""
    hint: str = ""
    exit_code: int = 0
    successes: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def errors(self) -> tuple[PlanError, ...]:
        """Return what could not be planned or applied."""
        if self.report is not None:
            return self.report.errors
        return self.plan.errors if self.plan is not None else ()
