"""Plan one mirror: list repositories, select tags, plan each tag."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Mirror
from imgsync.errors import ImgsyncError
from imgsync.listing.model import ListedTag
from imgsync.oci.spec.reference import Reference
from imgsync.plan.context import PlanContext
from imgsync.plan.find_gone import GoneFinder
from imgsync.plan.gone_tag import Absence
from imgsync.plan.known_tags import KnownTags
from imgsync.plan.list_repositories import SourceRepository
from imgsync.plan.mirror_plan import MirrorPlan, SelectedTags
from imgsync.plan.model import PENDING, Action, Change, PlanError
from imgsync.plan.nearby_tags import NearbyTags
from imgsync.plan.plan_error import make_missing_error, make_plan_error
from imgsync.plan.plan_tag import TagPlan, TagPlanner
from imgsync.plan.ready import ReadyChanges
from imgsync.plan.select_mirror import MirrorSelector
from imgsync.plan.select_tags import is_named_exactly
from imgsync.plan.selection_notes import describe_selection, make_excess_error, make_shortage_error
from imgsync.text.units import format_count

_FROZEN = {"k8s.gcr.io": "k8s.gcr.io has been frozen since April 2023; mirror from registry.k8s.io instead"}


class MirrorPlanner:
    """Plans the mirrors of one configuration."""

    def __init__(self, context: PlanContext, ready: ReadyChanges) -> None:
        """Report changes that may begin early to *ready*."""
        self._known = KnownTags(context.state, is_enabled=context.reads_records)
        self._context = context
        self._ready = ready
        self._registries = context.registries
        self._check = context.stop.raise_if_requested
        self._log = context.log
        self._nearby_tags = NearbyTags()
        self._selector = MirrorSelector(context, self._known)
        self._warned: set[tuple[str, str]] = set()
        self._listener = context.listener

    def plan(self, result: MirrorPlan) -> None:
        """Plan the mirror of *result* into it."""
        mirror = result.mirror
        try:
            self._plan(mirror, result)
        except ImgsyncError as error:
            # Such as a credential helper that fails: the other mirrors are still planned.
            result.errors.append(make_plan_error(mirror, mirror.source.registry, error))
        result.whole = True

    def _plan(self, mirror: Mirror, result: MirrorPlan) -> None:
        try:
            if not mirror.suspend:
                result.notes += _list_notes(mirror)
                self._select(mirror, result)
        finally:
            self._ready.add_selection(mirror, result.selected)
        if not mirror.suspend:
            self._plan_tags(mirror, result, self._selector.make_finder(mirror))

    def _select(self, mirror: Mirror, result: MirrorPlan) -> None:
        lock = None if self._context.locks is None else self._context.locks.by_mirror[mirror.name]
        if not self._context.is_frozen:
            self._selector.select(result, on_repositories=lambda repositories: self._meet_destinations(mirror, repositories))
        if lock is not None:
            # Imported now: most runs have no lock.
            from imgsync.plan.locked_tags import use_lock

            use_lock(result, lock, is_frozen=self._context.is_frozen)
        if result.is_frozen:
            self._meet_destinations(mirror, [one.repository for one in result.selected])
            self._listener.on_repositories(len(result.selected))
            for one in result.selected:
                self._listener.on_listed(len(one.planned))

    def _plan_tags(self, mirror: Mirror, result: MirrorPlan, finder: GoneFinder) -> None:
        result.notes += describe_selection(result.selected)
        count = sum(len(one.planned) for one in result.selected)
        # Of a part, it is unknown how many tags the whole has.
        at_most, at_least = mirror.tags.at_most, mirror.tags.at_least if result.part is None else 0
        if at_most is not None and count > at_most:
            result.errors.append(make_excess_error(mirror, count))
            result.judged.clear()
            return
        planner = self._open_planner(mirror, count)
        # A tag that fails exists, so `at_least` counts it; and one that is gone is still served.
        found = sum(len(one.errors) for one in result.selected) + result.count_served(result.gone)
        held: list[list[Change]] = []
        for selected, tag, outcome in self._look_up(mirror, planner, result.selected):
            self._listener.on_looked_up()
            found += self._add_tag(result, selected, tag, outcome, finder)
            if isinstance(outcome, TagPlan):
                held += self._ready.list_pending(outcome.changes)
            if found >= at_least:
                self._ready.add_all(held)
                held.clear()
        self._report_absent(result)
        if found < at_least:
            self._discard(result, found)
        self._warn_of_missing_names(result)

    def _open_planner(self, mirror: Mirror, count: int) -> TagPlanner:
        """Return a planner for *count* tags, with connections opened early."""
        # Planning sends one request per tag; copying, if it begins meanwhile, one per blob.
        copies = min(count, mirror.concurrency.images) if self._ready.is_enabled else 0
        if self._context.locks is None:
            source = self._registries.make_source_client(mirror, check=self._check)
            source.open_ahead(max(copies * mirror.concurrency.blobs, min(count, mirror.concurrency.queries)))
        return TagPlanner(mirror, self._context, copies_at_once=copies)

    def _meet_destinations(self, mirror: Mirror, repositories: Iterable[SourceRepository]) -> None:
        """Connect to the destinations while the source is listed."""
        # The destination of a repository without records will be asked for at least one of its tags.
        new = sum(not self._known.has_any(one.repository) for one in repositories)
        if not new:
            return
        for registry in {destination.registry for destination in mirror.destinations}:
            # An error is reported once the destination is needed.
            with contextlib.suppress(ImgsyncError):
                client = self._registries.make_destination_client(registry, mirror, check=self._check)
                client.open_ahead(min(new, mirror.concurrency.queries), is_certain=True)

    def _look_up(self, mirror: Mirror, planner: TagPlanner, selected: Iterable[SelectedTags]) -> Iterable[tuple[SelectedTags, ListedTag, TagPlan | PlanError]]:
        def look_up(item: tuple[SelectedTags, ListedTag]) -> tuple[SelectedTags, ListedTag, TagPlan | PlanError]:
            some, tag = item
            try:
                return some, tag, planner.plan(some.repository, tag)
            except ImgsyncError as error:
                return some, tag, self._explain(mirror, some, tag, error)

        return map_unordered(look_up, ((some, tag) for some in selected for tag in some.planned), limit=mirror.concurrency.queries)

    def _explain(self, mirror: Mirror, selected: SelectedTags, tag: ListedTag, error: ImgsyncError) -> PlanError:
        found = make_plan_error(mirror, str(_make_reference(selected, tag)), error)
        if selected.locked is None:
            return found
        from imgsync.plan.locked_tags import explain_locked

        return explain_locked(found, tag, error)

    def _discard(self, result: MirrorPlan, found: int) -> None:
        """Drop the changes of a mirror with fewer tags than `at_least`."""
        if found or not result.errors:
            result.errors.append(make_shortage_error(result.mirror, found, result.selected))
        result.clear_changes()
        # Nothing that this run saw first is believed.
        result.gone = [tag for tag in result.gone if tag.since]
        result.blobs.clear()

    def _add_tag(self, result: MirrorPlan, selected: SelectedTags, tag: ListedTag, outcome: TagPlan | PlanError, finder: GoneFinder) -> int:
        """Add one tag to *result*; return how much `at_least` counts it."""
        reference = _make_reference(selected, tag)
        if isinstance(outcome, PlanError):
            result.errors.append(outcome)
            result.unchecked.add(reference)
            return 1
        if not outcome.exists:
            return self._add_missing(result, selected, tag, outcome, finder)
        self._note_presence(result, selected, tag, outcome)
        self._log_tag(result.mirror, reference, outcome)
        for change in outcome.changes:
            result.add_change(change)
            if change.action in PENDING:
                result.blobs[change.destination] = outcome.blobs
                result.manifests.update(outcome.manifests)
                result.pushes += len(outcome.manifests)
            if change.action is Action.CREATE and self._context.state.get(str(change.destination)) is not None:
                result.lost.add(change.destination)
        return 1

    def _note_presence(self, result: MirrorPlan, selected: SelectedTags, tag: ListedTag, outcome: TagPlan) -> None:
        """Note whether a tag without a listing was asked for."""
        if tag.name not in selected.unlisted:
            return
        if outcome.is_seen and selected.locked is None:
            result.returned.update(str(change.destination) for change in outcome.changes if str(change.destination) in self._context.state.gone_since)
        else:
            result.unchecked.add(_make_reference(selected, tag))

    def _add_missing(self, result: MirrorPlan, selected: SelectedTags, tag: ListedTag, outcome: TagPlan, finder: GoneFinder) -> int:
        """Add a missing tag; return how much `at_least` counts it."""
        repository, reference = selected.repository.repository, _make_reference(selected, tag)
        is_named = tag.name in result.mirror.tags.names
        gone = finder.find_names(selected.repository, [tag.name], Absence.NOT_FOUND)
        if is_named:
            # An exact name that a destination lacks is an error. Of other tags, `verify` finds those that are lost.
            gone = tuple(one for one in gone if one.destination in outcome.served)
        result.gone += gone
        if not is_named:
            self._log.warning("tag.vanished", mirror=result.mirror.name, source=str(reference), reason="listed, but not found when read")
        elif is_named_exactly(result.mirror, repository):
            if outcome.lacking or not gone:
                result.absent[reference] = outcome.lacking if gone else ()
        elif not gone:
            result.add_missing(repository, [tag.name])
        return result.count_served(gone)

    def _report_absent(self, result: MirrorPlan) -> None:
        """Add an error for each exact name that an exact repository lacks."""
        client = self._registries.make_source_client(result.mirror, check=self._check)
        # In order, since only the first few repositories are asked for other tags.
        for reference, lacking in sorted(result.absent.items()):
            hint = self._nearby_tags.explain(reference.digest or reference.tag, reference.repository, client)
            result.errors.append(make_missing_error(result.mirror, reference, hint, lacking=lacking))

    def _warn_of_missing_names(self, result: MirrorPlan) -> None:
        """Log each exact name that repositories of a namespace lack."""
        for name in result.mirror.tags.names:
            lacking = sorted(repository for repository, names in result.missing.items() if name in names)
            if lacking:
                count = f"{len(lacking)} of {format_count(len(result.selected), 'repository', 'repositories')}"
                self._log.warning(
                    "tag.missing", mirror=result.mirror.name, reason=f"{name} does not exist in {count}{', such as' if len(lacking) > 1 else ':'} {lacking[0]}"
                )

    def _log_tag(self, mirror: Mirror, reference: Reference, outcome: TagPlan) -> None:
        for destination in outcome.dropped:
            reason = f"the record of {destination} does not match its manifest; dropped the record and asked the destination"
            self._log.warning("state.degraded", reason=reason)
        if outcome.moved:
            self._log.warning("tag.moved", mirror=mirror.name, source=str(reference), reason=outcome.moved)
        # Tags of one digest share their referrers, and so their warnings.
        for warning in outcome.warnings:
            if (mirror.name, warning) not in self._warned:
                self._warned.add((mirror.name, warning))
                self._log.warning("referrers.incomplete", mirror=mirror.name, reason=warning)


def _list_notes(mirror: Mirror) -> list[str]:
    notes = []
    if mirror.source.registry in _FROZEN:
        notes.append(_FROZEN[mirror.source.registry])
    return notes


def _make_reference(selected: SelectedTags, tag: ListedTag) -> Reference:
    return selected.repository.repository.with_name(tag.name)
