"""
What to run next, and when.

Mirrors that are due together run together. What a person asks for comes first, then what changed, then events and the schedule in turn, so that neither
waits for ever. No clock, no input and output: the caller says what time it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from imgsync.config.model import Mirror
from imgsync.config.only_pattern import OnlyPattern
from imgsync.config.schedule import Schedule
from imgsync.serve.due import describe_schedule, find_longest_wait, find_next
from imgsync.serve.hint_pool import HintPool
from imgsync.serve.model import Hint, Request, RunOrder, Trigger
from imgsync.serve.select_parts import PARTS_LIMIT, PartSelector
from imgsync.system.dataclass import dataclass

_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=1)
_PAUSE_JITTER = 0.1
# As many reach the longest pause.
_DOUBLINGS = 6
# As cron: set back by less, the clock does not bring again what it brought before.
_CORRECTION = timedelta(hours=3)


@dataclass(slots=True)
class _Entry:
    """
    When one mirror runs.

    `served_until` is the last moment of the schedule that led to a run. `retry_at` and `release_at` come in between. A retry that does not apply only plans.
    `retry_only` are the parts to retry, empty for the whole mirror.
    """

    mirror: Mirror
    schedule: Schedule
    due_at: datetime
    served_until: datetime
    retry_at: datetime | None = None
    retry_applies: bool = True
    retry_only: tuple[OnlyPattern, ...] = ()
    release_at: datetime | None = None
    failures: int = 0

    def find_next(self) -> datetime:
        """Return when it runs next."""
        return min(moment for moment in (self.due_at, self.retry_at, self.release_at) if moment is not None)

    def is_scheduled(self, now: datetime) -> bool:
        """Return whether it is due by more than a retry."""
        return self.due_at <= now or (self.release_at is not None and self.release_at <= now)

    def retry(self, at: datetime, parts: tuple[OnlyPattern, ...], *, applies: bool) -> None:
        """Have *parts* retried, empty for the whole, with what waits already."""
        is_whole = not parts or (self.retry_at is not None and not self.retry_only)
        joined = () if is_whole else tuple(dict.fromkeys((*self.retry_only, *parts)))
        self.retry_at, self.retry_applies = at, applies
        self.retry_only = joined if len(joined) <= PARTS_LIMIT else ()

    def end_retries(self) -> None:
        """Forget that runs failed."""
        self.failures, self.retry_at, self.retry_applies, self.retry_only = 0, None, True, ()


class Agenda:
    """Decides about runs, one at a time."""

    def __init__(self, *, every: Schedule, only_plans: bool, chance: random.Random, make_id: Callable[[datetime], str]) -> None:
        """
        Begin without mirrors.

        Args:
            every: The schedule of mirrors that have none.
            only_plans: Nothing is ever applied.
            chance: Spreads intervals and pauses.
            make_id: Returns the id of a run that begins at a moment.
        """
        self._every = every
        self._only_plans = only_plans
        self._chance = chance
        self._make_id = make_id
        self._entries: dict[str, _Entry] = {}
        # Names of mirrors that are new or changed, why, and whether to apply them.
        self._changed: dict[str, tuple[bool, Trigger]] = {}
        self._change_trigger = Trigger.START
        self._requests: list[Request] = []
        self._hints = HintPool()
        self._selector = PartSelector(())
        self._was_event = False

    @property
    def waiting(self) -> int:
        """Return how many hints and requests wait."""
        return len(self._requests) + len(self._hints)

    def update(self, mirrors: Sequence[Mirror], now: datetime, *, last_runs: Mapping[str, datetime]) -> None:
        """
        Take over the declared *mirrors*.

        Of a new one, *last_runs* says when it ran before, if ever.
        """
        before, self._entries = self._entries, {}
        for mirror in mirrors:
            if not mirror.suspend:
                # A run in the future was dated by a clock that was wrong; counted from there, the mirror would stand still until then.
                last_run = min(last_runs[mirror.name], now) if mirror.name in last_runs else None
                self._entries[mirror.name] = self._update_entry(mirror, before.get(mirror.name), now, last_run)
        self._changed = {name: change for name, change in self._changed.items() if name in self._entries}
        self._change_trigger = Trigger.CHANGE
        self._selector = PartSelector(mirrors)

    def forget(self) -> None:
        """Forget all mirrors and when they ran; hints and requests stay."""
        self._entries, self._changed, self._change_trigger = {}, {}, Trigger.START

    def has(self, hint: Hint) -> bool:
        """Return whether a mirror may select what *hint* names."""
        return self._selector.has(hint)

    def describe(self, mirror: Mirror) -> str:
        """Return the schedule of *mirror* as text."""
        return describe_schedule(mirror.schedule or self._every)

    def find_next_run(self, name: str) -> datetime | None:
        """Return when the mirror *name* runs next, None if it does not."""
        return self._entries[name].find_next() if name in self._entries else None

    def get_failures(self, name: str) -> int:
        """Return how many runs of *name* in a row failed."""
        return self._entries[name].failures if name in self._entries else 0

    def add_requests(self, requests: Iterable[Request]) -> None:
        """Add what is asked for."""
        self._requests += (one for one in requests if one not in self._requests)

    def add_hints(self, hints: Iterable[Hint], moment: float, *, events: int) -> None:
        """Add hints that came until *moment* of the monotonic clock, by *events*."""
        self._hints.add(hints, moment, events=events)

    def find_wait(self, now: datetime, moment: float) -> float:
        """Return in how many seconds there may be something to do."""
        if self._requests or self._changed:
            return 0.0
        waits = [(entry.find_next() - now).total_seconds() for entry in self._entries.values()]
        return max(0.0, min([*waits, self._hints.find_wait(moment)]))

    def take(self, now: datetime, moment: float) -> RunOrder | None:
        """Return the next run if it is time; *moment* is monotonic."""
        order = self._take_request(now) or self._take_changed(now)
        if order is None:
            order = self._take_due(now) or self._take_hints(now, moment) if self._was_event else self._take_hints(now, moment) or self._take_due(now)
        if order is not None:
            self._was_event = order.trigger is Trigger.EVENT
            self._begin(order, now)
        return order

    def finish(self, order: RunOrder, now: datetime, *, failed: Iterable[str], releases: Mapping[str, datetime]) -> None:
        """
        Settle the mirrors of *order*; those in *failed* are retried.

        *releases* says when the first held tag of a mirror is released.
        """
        unsuccessful = set(failed)
        # The same for all, so that what failed together is retried together.
        spread = 1 + _PAUSE_JITTER * (2 * self._chance.random() - 1)
        for name in order.mirrors:
            if (entry := self._entries.get(name)) is not None:
                self._settle(entry, order, now, spread if name in unsuccessful else None, release_at=releases.get(name))

    def count_failure(self, name: str) -> None:
        """Count a failed run of *name* that is not retried."""
        if name in self._entries:
            self._entries[name].failures += 1

    def correct(self, now: datetime) -> None:
        """Bring moments nearer after the clock was set back to *now*."""
        for entry in self._entries.values():
            if entry.served_until - now > _CORRECTION:
                entry.served_until = now
            entry.due_at = min(entry.due_at, find_longest_wait(entry.schedule, max(now, entry.served_until) if entry.schedule.cron else now))
            entry.retry_at = None if entry.retry_at is None else min(entry.retry_at, now + _LONGEST_PAUSE)

    def retry_now(self, now: datetime) -> None:
        """Retry what failed, since the settings may have been corrected."""
        for entry in self._entries.values():
            entry.retry_at = None if entry.retry_at is None else now

    def _update_entry(self, mirror: Mirror, known: _Entry | None, now: datetime, last_run: datetime | None) -> _Entry:
        schedule = mirror.schedule or self._every
        if known is not None and known.mirror.declaration_digest == mirror.declaration_digest:
            if known.schedule == schedule:
                known.mirror = mirror
                return known
            due_at = find_next(schedule, known.served_until, jitter=self._chance)
            return _Entry(mirror, schedule, due_at, known.served_until, known.retry_at, known.retry_applies, known.retry_only, known.release_at, known.failures)
        entry = _Entry(mirror, schedule, now, last_run or now)
        if known is not None:
            entry.served_until = known.served_until
        if known is None and last_run is not None:
            entry.due_at = find_next(schedule, last_run, jitter=self._chance)
        elif schedule.cron:
            entry.due_at = find_next(schedule, now, jitter=self._chance)
        # A cron expression says when images may move; before that, the plan shows what is to come.
        self._changed[mirror.name] = (entry.due_at <= now and not self._only_plans, self._change_trigger)
        return entry

    def _take_request(self, now: datetime) -> RunOrder | None:
        while self._requests:
            request = self._requests.pop(0)
            names = [name for name in self._entries if not request.mirrors or name in request.mirrors]
            if names:
                return self._make_order(now, Trigger.REQUEST, names, applies=request.applies)
        return None

    def _take_changed(self, now: datetime) -> RunOrder | None:
        if not self._changed:
            return None
        # First those that are only planned: it takes little time, and then the page shows them.
        change = min(self._changed.values())
        names = [name for name in self._entries if self._changed.get(name) == change]
        for name in names:
            del self._changed[name]
        return self._make_order(now, change[1], names, applies=change[0])

    def _take_due(self, now: datetime) -> RunOrder | None:
        due = [entry for entry in self._entries.values() if entry.find_next() <= now]
        if not due:
            return None
        scheduled = [entry for entry in due if entry.is_scheduled(now)]
        whole = [entry for entry in due if entry in scheduled or (entry.retry_applies and not entry.retry_only)]
        parts = [entry for entry in due if entry.retry_applies and entry not in whole]
        names = [entry.mirror.name for entry in whole or parts or due]
        order = self._make_order(now, Trigger.SCHEDULE if scheduled else Trigger.RETRY, names, applies=bool(whole or parts))
        return order if whole else replace(order, only=tuple(pattern for entry in parts for pattern in entry.retry_only))

    def _take_hints(self, now: datetime, moment: float) -> RunOrder | None:
        parts = self._selector.select(self._hints.take(moment))
        if not parts.mirrors:
            return None
        return replace(self._make_order(now, Trigger.EVENT, parts.mirrors), only=parts.only)

    def _make_order(self, now: datetime, trigger: Trigger, mirrors: Iterable[str], *, applies: bool = True) -> RunOrder:
        return RunOrder(self._make_id(now), trigger, tuple(mirrors), applies and not self._only_plans)

    def _begin(self, order: RunOrder, now: datetime) -> None:
        if order.trigger is Trigger.EVENT or order.only or not (order.applies or self._only_plans):
            return
        for name in order.mirrors:
            entry = self._entries[name]
            if entry.due_at <= now:
                entry.served_until = max(entry.due_at, entry.served_until) if entry.schedule.cron else now
                entry.due_at = find_next(entry.schedule, now, jitter=self._chance)
            elif not entry.schedule.cron:
                entry.served_until = now
                entry.due_at = find_next(entry.schedule, now, jitter=self._chance)

    def _settle(self, entry: _Entry, order: RunOrder, now: datetime, spread: float | None, *, release_at: datetime | None) -> None:
        """Settle one mirror; *spread* is None if it succeeded."""
        parts = tuple(pattern for pattern in order.only if pattern.is_part and pattern.mirror == entry.mirror.name)
        if spread is not None:
            entry.failures += 1
            # A plan that fails meanwhile does not make the retry of an apply a plan.
            was_to_apply = entry.retry_at is not None and entry.retry_applies
            entry.retry(now + _choose_pause(entry) * spread, parts, applies=was_to_apply or order.applies or self._only_plans)
        elif (order.applies or self._only_plans) if not parts else (entry.retry_only and set(entry.retry_only) <= set(parts)):
            entry.end_retries()
        elif not entry.retry_applies:
            entry.retry_at, entry.retry_applies = None, True
        # A cron expression says when images may move.
        if entry.schedule.cron:
            entry.release_at = None
        elif not parts:
            entry.release_at = release_at
        elif release_at is not None:
            entry.release_at = min(release_at, entry.release_at or release_at)


def _choose_pause(entry: _Entry) -> timedelta:
    longest = _LONGEST_PAUSE if entry.schedule.cron else min(_LONGEST_PAUSE, timedelta(seconds=entry.schedule.every_seconds))
    return min(longest, _FIRST_PAUSE * (1 << min(entry.failures - 1, _DOUBLINGS)))
