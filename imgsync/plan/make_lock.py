"""
Find out what the lock of each mirror should have.

What is pinned stays, unless it is to be updated. What is new or moved gets the digest that the source has now, if `min_age`, `immutable` and
`require` let it. A mirror with an error keeps its lock. Nothing is written here. Spec: docs/how-to/pin-digests.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from operator import attrgetter

from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Config
from imgsync.errors import ImgsyncError, UsageError
from imgsync.lock.declaration import compute_declaration_digest
from imgsync.lock.load_locks import locate_lock
from imgsync.lock.model import Lock, LockedImage, make_sorted_images
from imgsync.oci.spec.reference import parse_reference
from imgsync.plan.context import PlanContext
from imgsync.plan.kept_changes import KeptChanges
from imgsync.plan.known_tags import KnownTags
from imgsync.plan.lock_changes import LockAction, LockChange, MirrorLock
from imgsync.plan.lock_image import ImageLocker, LockTask, SettledImage
from imgsync.plan.lock_update import LockUpdate
from imgsync.plan.mirror_part import find_part, report_unmatched
from imgsync.plan.mirror_plan import MirrorPlan
from imgsync.plan.plan_error import make_plan_error
from imgsync.plan.select_mirror import MirrorSelector
from imgsync.plan.selection_notes import make_excess_error, make_shortage_error
from imgsync.system.sorted_runs import SortedRuns, iter_unknown
from imgsync.text.units import format_count

_MIRRORS_AT_ONCE = 4


def make_locks(config: Config, context: PlanContext, locks: Mapping[str, Lock], *, folder: str, update: LockUpdate) -> list[MirrorLock]:
    """
    Return the new lock of each mirror that is not suspended.

    Args:
        config: The declared mirrors.
        context: What planning reads from.
        locks: The locks as they are, by mirror.
        folder: Where the locks are.
        update: What may change.

    Raises:
        StoppedError: A stop was requested.
        UsageError: A part of a mirror without a fitting lock is to be locked.
    """
    maker = _LockMaker(context, locks, folder=folder, update=update)
    plans = [MirrorPlan(mirror, KeptChanges(mirror.name), part=find_part(mirror, config.only)) for mirror in config.mirrors if not mirror.suspend]
    for plan in plans:
        maker.check_part(plan)
    for _ in map_unordered(maker.select, plans, limit=_MIRRORS_AT_ONCE):
        pass
    report_unmatched(plans, config.only)
    return [maker.make(plan) for plan in plans]


class _LockMaker:
    """Makes the locks of one configuration."""

    def __init__(self, context: PlanContext, locks: Mapping[str, Lock], *, folder: str, update: LockUpdate) -> None:
        self._context = context
        self._locks = locks
        self._folder = folder
        self._update = update
        self._known = KnownTags(context.state)
        self._selector = MirrorSelector(context, self._known)

    def check_part(self, plan: MirrorPlan) -> None:
        """
        Check that a part of a mirror can be locked alone.

        Raises:
            UsageError: The rest has no lock that fits the declaration, and the file would say that it has.
        """
        mirror, lock = plan.mirror, self._locks.get(plan.mirror.name)
        if plan.part is None or (lock is not None and lock.declaration == compute_declaration_digest(mirror)):
            return
        what = "has no lock yet" if lock is None else "changed since its lock was made"
        raise UsageError(f"the mirror {mirror.name} {what}, so it cannot be locked in part", hint=f"lock the whole mirror: imgsync lock --only {mirror.name}")

    def select(self, plan: MirrorPlan) -> None:
        """Select the tags of one mirror."""
        try:
            self._selector.select(plan, on_repositories=lambda _: None)
        except ImgsyncError as error:
            plan.errors.append(make_plan_error(plan.mirror, plan.mirror.source.registry, error))

    def make(self, plan: MirrorPlan) -> MirrorLock:
        """Return the lock of one mirror whose tags are selected."""
        mirror = plan.mirror
        self._check_count(plan)
        images = make_sorted_images()
        changes: list[LockChange] = []
        held: list[tuple[str, str]] = []
        for settled in self._settle(plan) if not plan.errors else ():
            if settled.error is not None:
                plan.errors.append(settled.error)
            if settled.locked is not None:
                images.add(settled.locked)
            if settled.change is not None:
                changes.append(settled.change)
                held += [(settled.repository, settled.change.source_digest or "")] if settled.change.action is LockAction.HOLD else []
        if not plan.errors:
            changes += self._drop(plan, images)
        changes.sort(key=lambda change: (change.image, change.action))
        return MirrorLock(
            mirror=mirror.name,
            file=str(locate_lock(self._folder, mirror.name)),
            declaration=compute_declaration_digest(mirror),
            images=images,
            changes=() if plan.errors else changes,
            notes=tuple(plan.notes),
            errors=tuple(plan.errors),
            held=tuple(held),
        )

    def _check_count(self, plan: MirrorPlan) -> None:
        """Add an error if there are too many or too few tags."""
        tags = plan.mirror.tags
        count = sum(len(one.tags) for one in plan.selected)
        if tags.at_most is not None and count > tags.at_most:
            plan.errors.append(make_excess_error(plan.mirror, count))
        # Of a part, it is unknown how many tags the whole has.
        if plan.part is None and not plan.errors and count < tags.at_least:
            plan.errors.append(make_shortage_error(plan.mirror, count, plan.selected))

    def _settle(self, plan: MirrorPlan) -> Iterator[SettledImage]:
        """Yield each selected image with the digest that it gets."""
        mirror = plan.mirror
        locker = ImageLocker(mirror, self._context, self._known, update=self._update)
        waiting: list[LockTask] = []
        for task in self._list_tasks(plan):
            settled = locker.settle_at_once(task)
            self._context.listener.on_looked_up()
            if settled is None:
                waiting.append(task)
            else:
                yield settled

        def settle(task: LockTask) -> SettledImage:
            try:
                return locker.settle(task)
            except ImgsyncError as error:
                return SettledImage(str(task.reference.repository), task.locked, error=make_plan_error(mirror, str(task.reference), error))

        yield from map_unordered(settle, waiting, limit=mirror.concurrency.queries)

    def _list_tasks(self, plan: MirrorPlan) -> Iterator[LockTask]:
        lock = self._locks.get(plan.mirror.name)
        for selected in plan.selected:
            for tag in selected.tags:
                reference = selected.repository.repository.with_name(tag.name)
                image = str(replace(reference, digest="")) if reference.tag else str(reference)
                yield LockTask(image, reference, tag, lock.images.find(image) if lock is not None else None)

    def _drop(self, plan: MirrorPlan, images: SortedRuns[LockedImage]) -> Iterator[LockChange]:
        """Yield the locked images that are no longer selected; keep others."""
        lock = self._locks.get(plan.mirror.name)
        if lock is None:
            return
        # A list that became empty is rather a lost permission than a deletion: as in a plan, nothing follows from it.
        emptied = {str(one.repository.repository) for one in plan.selected if one.lists_nothing}
        kept: list[LockedImage] = []
        unlisted = 0
        for one in iter_unknown(lock.images.values(), (one.image for one in images), key=attrgetter("image")):
            if plan.incomplete or (plan.part is not None and not plan.part.has(parse_reference(one.image))):
                kept.append(one)
            elif one.repository in emptied:
                kept.append(one)
                unlisted += 1
            else:
                yield LockChange(LockAction.DROP, plan.mirror.name, one.image, one.digest, None, "no longer selected")
        images.update(kept)
        if unlisted:
            where = f"the source lists nothing where {format_count(unlisted, 'locked tag')} came from"
            plan.notes.append(f"{where}; if it really deleted all tags, delete their lines")
        if plan.incomplete and kept:
            stay = "stays" if len(kept) == 1 else "stay"
            plan.notes.append(f"a listing was incomplete, so {format_count(len(kept), 'locked tag')} that it lacks {stay}")
