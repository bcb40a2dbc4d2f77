"""Agendas for tests: mirrors, a seeded chance, and a clock that a test moves."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from imgsync.config.model import Destination, Mirror, Source
from imgsync.config.schedule import Schedule
from imgsync.filters.tags import TagFilter
from imgsync.serve.agenda import Agenda
from imgsync.serve.model import Hint, RunOrder

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = Schedule(every_seconds=3600.0)


def mirror(name: str, schedule: Schedule | None = None, *, repositories: Iterable[str] = ("app",), tags: TagFilter = TagFilter(), **settings: object) -> Mirror:
    """Return a mirror from s.io to d.io."""
    return Mirror(name, Source("s.io", repositories=tuple(repositories)), (Destination("d.io"),), tags=tags, schedule=schedule, **settings)  # type: ignore[arg-type]


@dataclass
class Diary:
    """An agenda, the time, and the runs that it gave."""

    mirrors: list[Mirror]
    now: datetime = START
    only_plans: bool = False
    last_runs: Mapping[str, datetime] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        """Begin with the mirrors."""
        numbers = itertools.count(1)
        self.agenda = Agenda(every=HOUR, only_plans=self.only_plans, chance=random.Random(self.seed), make_id=lambda _: f"run-{next(numbers)}")
        self.began = self.now
        self.agenda.update(self.mirrors, self.now, last_runs=self.last_runs)

    @property
    def moment(self) -> float:
        """Return the time of the clock that never jumps."""
        return (self.now - self.began).total_seconds()

    def take(self) -> RunOrder | None:
        """Return the run that is due now."""
        return self.agenda.take(self.now, self.moment)

    def finish(self, order: RunOrder, *, failed: Iterable[str] = (), releases: Mapping[str, datetime] | None = None) -> None:
        """End a run at once."""
        self.agenda.finish(order, self.now, failed=failed, releases=releases or {})

    def hint(self, *hints: Hint, events: int | None = None) -> None:
        """Receive hints."""
        self.agenda.add_hints(hints, self.moment, events=len(hints) if events is None else events)

    def wait(self, **time: float) -> None:
        """Let time pass."""
        self.now += timedelta(**time)

    def settle(self) -> list[RunOrder]:
        """Carry out all that is due now, with success; return it."""
        done = []
        while (order := self.take()) is not None:
            self.finish(order)
            done.append(order)
        return done

    def run_until(self, end: datetime, *, failed: Iterable[str] = ()) -> list[tuple[datetime, RunOrder]]:
        """Carry out what is due until *end*, each run without taking time."""
        done = []
        while True:
            order = self.take()
            if order is not None:
                self.finish(order, failed=[name for name in order.mirrors if name in set(failed)])
                done.append((self.now, order))
                continue
            wait = self.agenda.find_wait(self.now, self.moment)
            if wait > (end - self.now).total_seconds():
                self.now = end
                return done
            # As the clock of a machine, which never tells the very moment.
            self.now += timedelta(seconds=wait, microseconds=137)
