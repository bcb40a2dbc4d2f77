"""
The plan of a whole configuration: every mirror enumerated, filtered, looked up and decided; sorted, and nothing written.

Spec: design.md §4; one thing that fails is an error of its own, the rest goes on.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Config, Mirror
from imgsync.errors import BudgetSpentError, ImgsyncError, StoppedError
from imgsync.filters.versions import make_natural_key
from imgsync.oci.listing.model import ListedTag
from imgsync.oci.spec.reference import Reference
from imgsync.plan.context import PlanContext
from imgsync.plan.cost import applying, pull_costs, requests, transfer_bytes
from imgsync.plan.list_repositories import SourceRepository, list_source_repositories
from imgsync.plan.mirror_plan import MirrorPlan, SelectedTags, make_mirror_error
from imgsync.plan.model import PENDING, Action, Change, MirrorNotes, Plan, PlanError
from imgsync.plan.plan_tag import TagPlan, TagPlanner
from imgsync.plan.prune import prune
from imgsync.plan.ready import OnPending, ReadyChanges
from imgsync.plan.select_tags import select_repository_tags
from imgsync.text.units import format_timestamp

_MIRRORS_AT_ONCE = 4
_FROZEN = {"k8s.gcr.io": "k8s.gcr.io is frozen since April 2023 and gets nothing new; mirror from registry.k8s.io"}
_ORDER = (Action.DELETE, Action.CREATE, Action.UPDATE, Action.REFUSE, Action.HOLD, Action.KEEP)


def build_plan(config: Config, context: PlanContext, *, on_pending: OnPending | None = None, partial: bool = False) -> Plan:
    """
    Return what would have to happen for the destinations to serve what *config* declares.

    With *on_pending* pending changes are told of as soon as they are certain; each that was told of is in the plan. Then, and where a
    *partial* plan is of use, a stop makes the plan end early, with an error for each mirror that it left unfinished.

    Raises:
        StoppedError: A stop was requested before the plan was whole, and a part of it is of no use.
    """
    began = time.monotonic()
    # What was asked before, such as for a state that is kept in a registry, is not the plan's.
    before = Counter(dict(requests(context.registries)))
    ready = ReadyChanges(config.mirrors, on_pending)
    planner = _Planner(context, ready)
    mirrors = [MirrorPlan(mirror) for mirror in config.mirrors]
    try:
        for _ in map_unordered(planner.plan_mirror, mirrors, limit=_MIRRORS_AT_ONCE):
            pass
    except StoppedError as error:
        if on_pending is None and not partial:
            raise
        for one in mirrors:
            if not one.whole:
                one.errors.append(PlanError(one.mirror.name, one.mirror.source.registry, error.message, "run again for the rest", later=True))
    _refuse_collisions(mirrors)
    if unpruned := prune(config, mirrors, context.state):
        context.log.info("prune.skipped", reason=unpruned)
    return Plan(
        changes=tuple(change for one in mirrors for change in sorted(one.changes, key=_order)),
        errors=tuple(error for one in mirrors for error in one.errors),
        mirrors=tuple(_notes(one, context.destination_tags.uncompared) for one in mirrors),
        transfer_bytes=transfer_bytes(mirrors, context.state),
        created_at=format_timestamp(context.now, milliseconds=True),
        # What is copied meanwhile asks too, and is not to be told apart.
        requests=() if ready.has_released else tuple((side, count - before[side]) for side, count in requests(context.registries)),
        seconds=round(time.monotonic() - began, 3),
        applying=tuple(applying(mirrors)),
        pulls=tuple(pull_costs(mirrors, context.registries)),
        uncompared=tuple(sorted(context.destination_tags.uncompared)),
    )


class _Planner:
    def __init__(self, context: PlanContext, ready: ReadyChanges) -> None:
        self._context = context
        self._ready = ready
        self._registries = context.registries
        self._stop = context.stop
        self._log = context.log

    def plan_mirror(self, result: MirrorPlan) -> None:
        """Plan one mirror into *result*."""
        mirror = result.mirror
        try:
            if not mirror.suspend:
                self._note(mirror, result)
                self._select(mirror, result)
        finally:
            self._ready.add_selection(mirror, result.selected)
        if not mirror.suspend:
            self._look_up(mirror, result)
        result.whole = True

    def _note(self, mirror: Mirror, result: MirrorPlan) -> None:
        if mirror.platforms is not None:
            result.notes.append(f"platforms {', '.join(mirror.platforms)}: an index that has others too gets a new index and so a new digest")
        if mirror.source.registry in _FROZEN:
            result.notes.append(_FROZEN[mirror.source.registry])

    def _select(self, mirror: Mirror, result: MirrorPlan) -> None:
        client = self._registries.make_source_client(mirror, check=self._stop.raise_if_requested)
        lister = self._registries.make_lister(client)
        found = list_source_repositories(mirror, lister, check=self._stop.raise_if_requested)
        result.errors += found.errors
        result.notes += found.notes
        for warning in found.warnings:
            result.incomplete = True
            self._log.warning("listing.incomplete", mirror=mirror.name, reason=warning)

        def select(repository: SourceRepository) -> SelectedTags | PlanError:
            try:
                return select_repository_tags(mirror, repository, client, lister, context=self._context)
            except ImgsyncError as error:
                return _error(mirror, str(repository.repository), error)

        for outcome in map_unordered(select, found.repositories, limit=mirror.concurrency.queries):
            if isinstance(outcome, PlanError):
                result.errors.append(outcome)
            else:
                result.selected.append(outcome)
                for warning in outcome.warnings:
                    result.incomplete = True
                    self._log.warning("listing.incomplete", mirror=mirror.name, reason=warning)

    def _look_up(self, mirror: Mirror, result: MirrorPlan) -> None:
        at_most = mirror.tags.at_most
        count = sum(len(one.tags) for one in result.selected)
        if at_most is not None and count > at_most:
            result.errors.append(make_mirror_error(mirror, f"{count} tags are selected, more than at_most: {at_most}", "narrow the filters, or raise at_most"))
            return
        # At once in what follows: one question for each tag, and where copying begins meanwhile one for each blob.
        copies = min(count, mirror.concurrency.images) * mirror.concurrency.blobs if self._ready.is_enabled else 0
        self._registries.make_source_client(mirror, check=self._stop.raise_if_requested).transport.open_ahead(
            max(copies, min(count, mirror.concurrency.queries))
        )
        planner = TagPlanner(mirror, self._context, requests_to_come=copies)

        def look_up(item: tuple[SelectedTags, ListedTag]) -> tuple[SelectedTags, ListedTag, TagPlan | PlanError]:
            selected, tag = item
            try:
                return selected, tag, planner.plan(selected.repository, tag)
            except ImgsyncError as error:
                return selected, tag, _error(mirror, str(selected.repository.repository.with_name(tag.name)), error)

        items = ((selected, tag) for selected in result.selected for tag in selected.tags)
        existing = 0
        held: list[Sequence[Change]] = []
        for selected, tag, outcome in map_unordered(look_up, items, limit=mirror.concurrency.queries):
            existing += self._gather(result, selected, tag, outcome)
            if isinstance(outcome, TagPlan):
                held.append(outcome.changes)
            if existing >= mirror.tags.at_least:
                for changes in held:
                    self._ready.add_changes(changes)
                held.clear()
        if existing < mirror.tags.at_least:
            if existing or not result.errors:
                message = f"{existing} tags are selected, fewer than at_least: {mirror.tags.at_least}"
                result.errors.append(make_mirror_error(mirror, message, "check the filters; `plan --explain` shows what each step left"))
            result.changes.clear()
            result.blobs.clear()

    def _gather(self, result: MirrorPlan, selected: SelectedTags, tag: ListedTag, outcome: TagPlan | PlanError) -> bool:
        """Put one tag's outcome where it belongs; return whether the tag is there."""
        if isinstance(outcome, PlanError):
            result.errors.append(outcome)
            return True
        if not outcome.exists:
            if selected.certain:
                reference = str(selected.repository.repository.with_tag(tag.name))
                self._log.warning("tag.vanished", mirror=result.mirror.name, source=reference, reason="listed, but gone when asked for")
            return False
        for destination in outcome.dropped:
            self._log.warning("state.degraded", reason=f"the record of {destination} does not fit its manifest; it was dropped, and the destination asked")
        if outcome.moved:
            self._log.warning("tag.moved", mirror=result.mirror.name, source=str(selected.repository.repository.with_name(tag.name)), reason=outcome.moved)
        for warning in outcome.warnings:
            self._log.warning("referrers.incomplete", mirror=result.mirror.name, reason=warning)
        result.changes += outcome.changes
        for change in outcome.changes:
            if change.action in PENDING:
                result.blobs[change.destination] = outcome.blobs
                result.manifests.update(outcome.manifests)
                result.pushes += len(outcome.manifests)
        return True


def _error(mirror: Mirror, reference: str, error: ImgsyncError) -> PlanError:
    later = isinstance(error, BudgetSpentError)
    if error.exit_code != 1 and not later:
        raise error
    return PlanError(mirror.name, reference, error.message, error.hint, later=later)


def _refuse_collisions(mirrors: Iterable[MirrorPlan]) -> None:
    """Turn changes that would write one destination from different sources into errors; drop plain repetitions."""
    writers: dict[Reference, list[Change]] = defaultdict(list)
    for one in mirrors:
        for change in one.changes:
            writers[change.destination].append(change)
    for one in mirrors:
        kept: list[Change] = []
        for change in one.changes:
            rivals = writers[change.destination]
            others = sorted({str(rival.source) for rival in rivals} - {str(change.source)})
            if others:
                one.errors.append(
                    PlanError(
                        one.mirror.name,
                        str(change.destination),
                        f"would be written from {change.source} and from {', '.join(others)}",
                        "give one of them another destination",
                    )
                )
                one.blobs.pop(change.destination, None)
            elif rivals[0] is change:
                kept.append(change)
        one.changes = kept


def _order(change: Change) -> tuple[object, ...]:
    return _ORDER.index(change.action), make_natural_key(str(change.source)), make_natural_key(str(change.destination))


def _notes(one: MirrorPlan, uncompared: Collection[str]) -> MirrorNotes:
    mirror = one.mirror
    unseen = sorted({destination.registry for destination in mirror.destinations} & set(uncompared))
    if unseen:
        one.notes.append(f"{', '.join(unseen)} was not compared: it wants a login, and none is known")
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
