"""
The plan of a whole configuration: every mirror enumerated, filtered, looked up and decided; sorted, and nothing written.

Spec: design.md §4; one thing that fails is an error of its own, the rest goes on.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from imgsync.concurrency import Stop
from imgsync.config.model import Config, Mirror
from imgsync.errors import BudgetSpentError, ImgsyncError, StoppedError
from imgsync.events import Log
from imgsync.oci.listing.model import ListedTag
from imgsync.oci.manifest import Descriptor
from imgsync.plan.ahead import Ahead, OnPending
from imgsync.plan.enumerate import SourceRepository, enumerate_source
from imgsync.plan.lookup import TagPlan, TagPlanner
from imgsync.plan.model import PENDING, Action, Change, MirrorNotes, Plan, PlanError, PullCost
from imgsync.plan.select import SelectedTags, select_of
from imgsync.plan.served import Served
from imgsync.registries import Registries
from imgsync.state import StateStore
from imgsync.units import format_moment
from imgsync.versions import natural_key
from imgsync.workers import map_unordered

_MIRRORS_AT_ONCE = 4
_FROZEN = {"k8s.gcr.io": "k8s.gcr.io is frozen since April 2023 and gets nothing new; mirror from registry.k8s.io"}
_ORDER = (Action.DELETE, Action.CREATE, Action.UPDATE, Action.REFUSE, Action.HOLD, Action.KEEP)


@dataclass(slots=True)
class _MirrorPlan:
    mirror: Mirror
    changes: list[Change] = field(default_factory=list)
    errors: list[PlanError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    selected: list[SelectedTags] = field(default_factory=list)
    blobs: dict[str, tuple[Descriptor, ...]] = field(default_factory=dict)
    manifests: set[str] = field(default_factory=set)
    whole: bool = False


def build_plan(
    config: Config,
    registries: Registries,
    state: StateStore,
    *,
    refresh: bool,
    now: datetime,
    stop: Stop,
    log: Log,
    on_pending: OnPending | None = None,
) -> Plan:
    """
    Return what would have to happen for the destinations to serve what *config* declares.

    With *on_pending* pending changes are told of as soon as they are certain; each that was told of is in the plan, and a stop
    makes the plan end early, with an error for each mirror that it left unfinished.

    Raises:
        StoppedError: A stop was requested before the plan was whole, and nobody was told of a part of it.
    """
    began = time.monotonic()
    ahead = Ahead(config.mirrors, on_pending)
    planner = _Planner(registries, state, ahead, refresh=refresh, now=now, stop=stop, log=log)
    mirrors = [_MirrorPlan(mirror) for mirror in config.mirrors]
    try:
        for _ in map_unordered(planner.plan_mirror, mirrors, limit=_MIRRORS_AT_ONCE):
            pass
    except StoppedError as error:
        if on_pending is None:
            raise
        for one in mirrors:
            if not one.whole:
                one.errors.append(PlanError(one.mirror.name, one.mirror.source.registry, error.message, "run again for the rest", later=True))
    _refuse_collisions(mirrors)
    return Plan(
        changes=tuple(change for one in mirrors for change in sorted(one.changes, key=_order)),
        errors=tuple(error for one in mirrors for error in one.errors),
        mirrors=tuple(_notes(one) for one in mirrors),
        transfer_bytes=_transfer_bytes(mirrors, state),
        created_at=format_moment(now),
        # What is copied meanwhile asks too, and is not to be told apart.
        requests=() if ahead.told else tuple(_requests(registries)),
        seconds=round(time.monotonic() - began, 3),
        pulls=tuple(_pull_costs(mirrors, registries)),
    )


class _Planner:
    def __init__(self, registries: Registries, state: StateStore, ahead: Ahead, *, refresh: bool, now: datetime, stop: Stop, log: Log) -> None:
        self._ahead = ahead
        self._served = Served()
        self._registries = registries
        self._state = state
        self._refresh = refresh
        self._now = now
        self._stop = stop
        self._log = log

    def plan_mirror(self, result: _MirrorPlan) -> None:
        """Plan one mirror into *result*."""
        mirror = result.mirror
        try:
            if not mirror.suspend:
                self._note(mirror, result)
                self._select(mirror, result)
        finally:
            self._ahead.selected(mirror, result.selected)
        if not mirror.suspend:
            self._look_up(mirror, result)
        result.whole = True

    def _note(self, mirror: Mirror, result: _MirrorPlan) -> None:
        if mirror.platforms is not None:
            result.notes.append(f"platforms {', '.join(mirror.platforms)}: an index that has others too gets a new index and so a new digest")
        if mirror.source.registry in _FROZEN:
            result.notes.append(_FROZEN[mirror.source.registry])

    def _select(self, mirror: Mirror, result: _MirrorPlan) -> None:
        client = self._registries.source(mirror, check=self._stop.check_new)
        lister = self._registries.lister(client)
        found = enumerate_source(mirror, lister, check=self._stop.check_new)
        result.errors += found.errors
        result.notes += found.notes
        for warning in found.warnings:
            self._log.warning("listing.incomplete", mirror=mirror.name, reason=warning)

        def select(repository: SourceRepository) -> SelectedTags | PlanError:
            try:
                return select_of(mirror, repository, client, lister, registries=self._registries, now=self._now)
            except ImgsyncError as error:
                return _error(mirror, str(repository.repository), error)

        for outcome in map_unordered(select, found.repositories, limit=mirror.concurrency.queries):
            if isinstance(outcome, PlanError):
                result.errors.append(outcome)
            else:
                result.selected.append(outcome)
                for warning in outcome.warnings:
                    self._log.warning("listing.incomplete", mirror=mirror.name, reason=warning)

    def _look_up(self, mirror: Mirror, result: _MirrorPlan) -> None:
        at_most = mirror.tags.at_most
        count = sum(len(one.tags) for one in result.selected)
        if at_most is not None and count > at_most:
            result.errors.append(_outside(mirror, f"{count} tags are selected, more than at_most: {at_most}", "narrow the filters, or raise at_most"))
            return
        # At once in what follows: one question for each tag, and where copying begins meanwhile one for each blob.
        copies = min(count, mirror.concurrency.images) * mirror.concurrency.blobs if self._ahead.listens else 0
        self._registries.source(mirror, check=self._stop.check_new).transport.expect(max(copies, min(count, mirror.concurrency.queries)))
        planner = TagPlanner(mirror, self._registries, self._state, self._served, refresh=self._refresh, check=self._stop.check_new, requests_to_come=copies)

        def look_up(item: tuple[SelectedTags, ListedTag]) -> tuple[SelectedTags, ListedTag, TagPlan | PlanError]:
            selected, tag = item
            try:
                return selected, tag, planner.plan(selected.repository, tag)
            except ImgsyncError as error:
                return selected, tag, _error(mirror, str(selected.repository.repository.named(tag.name)), error)

        items = ((selected, tag) for selected in result.selected for tag in selected.tags)
        existing = 0
        held: list[Sequence[Change]] = []
        for selected, tag, outcome in map_unordered(look_up, items, limit=mirror.concurrency.queries):
            existing += self._gather(result, selected, tag, outcome)
            if isinstance(outcome, TagPlan):
                held.append(outcome.changes)
            if existing >= mirror.tags.at_least:
                for changes in held:
                    self._ahead.gathered(changes)
                held.clear()
        if existing < mirror.tags.at_least:
            if existing or not result.errors:
                message = f"{existing} tags are selected, fewer than at_least: {mirror.tags.at_least}"
                result.errors.append(_outside(mirror, message, "check the filters; `plan --explain` shows what each step left"))
            result.changes.clear()
            result.blobs.clear()

    def _gather(self, result: _MirrorPlan, selected: SelectedTags, tag: ListedTag, outcome: TagPlan | PlanError) -> bool:
        """Put one tag's outcome where it belongs; return whether the tag is there."""
        if isinstance(outcome, PlanError):
            result.errors.append(outcome)
            return True
        if not outcome.exists:
            if selected.certain:
                reference = str(selected.repository.repository.tagged(tag.name))
                self._log.warning("tag.vanished", mirror=result.mirror.name, source=reference, reason="listed, but gone when asked for")
            return False
        for destination in outcome.dropped:
            self._log.warning("state.degraded", reason=f"the record of {destination} does not fit its manifest; it was dropped, and the destination asked")
        for warning in outcome.warnings:
            self._log.warning("referrers.incomplete", mirror=result.mirror.name, reason=warning)
        result.changes += outcome.changes
        for change in outcome.changes:
            if change.action in PENDING:
                result.blobs[change.destination] = outcome.blobs
                result.manifests.update(outcome.manifests)
        return True


def _error(mirror: Mirror, reference: str, error: ImgsyncError) -> PlanError:
    later = isinstance(error, BudgetSpentError)
    if error.exit_code != 1 and not later:
        raise error
    return PlanError(mirror.name, reference, error.message, error.hint, later=later)


def _outside(mirror: Mirror, message: str, hint: str) -> PlanError:
    return PlanError(mirror.name, mirror.source.registry, message, hint)


def _refuse_collisions(mirrors: Iterable[_MirrorPlan]) -> None:
    """Turn changes that would write one destination from different sources into errors; drop plain repetitions."""
    writers: dict[str, list[Change]] = defaultdict(list)
    for one in mirrors:
        for change in one.changes:
            writers[change.destination].append(change)
    for one in mirrors:
        kept: list[Change] = []
        for change in one.changes:
            rivals = writers[change.destination]
            others = sorted({rival.source for rival in rivals} - {change.source})
            if others:
                one.errors.append(
                    PlanError(
                        one.mirror.name,
                        change.destination,
                        f"would be written from {change.source} and from {', '.join(others)}",
                        "give one of them another destination",
                    )
                )
                one.blobs.pop(change.destination, None)
            elif rivals[0] is change:
                kept.append(change)
        one.changes = kept


def _transfer_bytes(mirrors: Iterable[_MirrorPlan], state: StateStore) -> int:
    """Sum the blobs to move, each once per destination registry, less those the state knows to be there."""
    sizes: dict[tuple[str, str], int] = {}
    for one in mirrors:
        for destination, blobs in one.blobs.items():
            registry = destination.partition("/")[0]
            for blob in blobs:
                if (registry, blob.digest) not in sizes:
                    known = bool(state.blob_repositories(registry, blob.digest))
                    sizes[registry, blob.digest] = 0 if known else blob.size_bytes
    return sum(sizes.values())


def _requests(registries: Registries) -> Iterator[tuple[str, int]]:
    for origin in ("source", "destination"):
        yield origin, sum(sum(count.values()) for count in registries.requests(origin).values())


def _pull_costs(mirrors: Iterable[_MirrorPlan], registries: Registries) -> Iterator[PullCost]:
    """Yield what each source registry that counts pulls will count: every manifest of what is pending, each once."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for one in mirrors:
        wanted[one.mirror.source.registry] |= one.manifests
    for registry, digests in sorted(wanted.items()):
        left = registries.pulls_left(registry)
        if left is not None and digests:
            yield PullCost(registry, len(digests), left.remaining, left.limit, left.window_seconds)


def _order(change: Change) -> tuple[object, ...]:
    return _ORDER.index(change.action), natural_key(change.source), natural_key(change.destination)


def _notes(one: _MirrorPlan) -> MirrorNotes:
    mirror = one.mirror
    return MirrorNotes(
        mirror=mirror.name,
        source=mirror.source.registry,
        destinations=tuple("/".join(part for part in (target.registry, target.namespace) if part) for target in mirror.destinations),
        file=mirror.file,
        line=mirror.line,
        suspended=mirror.suspend,
        notes=tuple(one.notes),
        steps=tuple(step for selected in sorted(one.selected, key=lambda some: some.repository.repository) for step in selected.steps),
    )
