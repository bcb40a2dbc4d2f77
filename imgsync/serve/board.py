"""How everything stands; the loop writes it, pages and metrics read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from imgsync.plan.model import Plan
from imgsync.serve.views import ConfigurationView, EventCounts, LeaseView, MirrorTags, MirrorView, RunningView, RunSummary, RunTotals


class Board(Protocol):
    """
    Reads how everything stands.

    `version` grows with every change, so a reader can tell whether to look again. `problems` are short texts about what does not work besides the
    mirrors, such as a state that another run has locked.
    """

    started_at: datetime
    version: int
    configuration: ConfigurationView
    running: RunningView | None
    lease: LeaseView | None
    only_plans: bool
    totals: RunTotals
    clock_jumps: int

    @property
    def events(self) -> Mapping[str, EventCounts]:
        """Return what came of the events of each sender."""

    @property
    def problems(self) -> Sequence[str]:
        """Return what does not work."""

    @property
    def waiting(self) -> int:
        """Return how many hints and requests wait for the next run."""

    def list_mirrors(self) -> Sequence[MirrorView]:
        """Return every mirror, in the order of the declarations."""

    def find_mirror(self, name: str) -> MirrorView | None:
        """Return the mirror *name*."""

    def find_tags(self, name: str) -> MirrorTags | None:
        """Return the tags of the mirror *name*, as last seen."""

    def make_plan(self) -> Plan:
        """Return the plan as it stands, with kept tags counted and packed."""

    def list_runs(self, mirror: str = "") -> Sequence[RunSummary]:
        """Return the runs, newest first; only those of *mirror* if named."""

    def read_run(self, run: str) -> Mapping[str, object] | None:
        """Return the document imgsync.run/v1, None if it is not kept."""
