"""
Plan the tags of a lock instead of those at the source.

With `--locked` the source is listed all the same, but only to compare. A lock has the digest of each tag, so a tag is planned as if a listing with
digests had it. Spec: docs/how-to/pin-digests.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field, replace

from imgsync.errors import ImgsyncError, NotFoundError
from imgsync.filters.quote_tags import quote_tags
from imgsync.listing.model import ListedTag, ListedTags, pack_in_order
from imgsync.lock.model import Lock, LockedImage
from imgsync.oci.spec.digest import shorten_digest
from imgsync.oci.spec.reference import is_pin, parse_repository
from imgsync.plan.list_repositories import SourceRepository, list_relative_paths
from imgsync.plan.mirror_plan import MirrorPlan, SelectedTags
from imgsync.plan.model import PlanError
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_count


@dataclass(slots=True)
class _Differences:
    """How the source differs from the lock."""

    moved: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    unselected: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)

    def describe(self, mirror: str) -> Iterator[str]:
        """Yield a note for each kind."""
        command = f"`imgsync lock --only {mirror}"
        if self.moved:
            yield f"{format_count(len(self.moved), 'locked tag')} moved at the source, the locked digest is used: {quote_tags(self.moved)}; {command} --update`"
        if self.new:
            yield f"{format_count(len(self.new), 'selected tag')} not in the lock: {quote_tags(self.new)}; {command}` adds them"
        if self.unselected:
            yield f"{format_count(len(self.unselected), 'locked tag')} no longer selected: {quote_tags(self.unselected)}; {command}` drops them"
        if self.unlisted:
            yield f"the source lists nothing where {format_count(len(self.unlisted), 'locked tag')} came from: {quote_tags(self.unlisted)}; the lock keeps them"


def use_lock(result: MirrorPlan, lock: Lock, *, is_frozen: bool) -> None:
    """Let *result* select what *lock* has; if *is_frozen*, without comparing."""
    locked = {one.repository.repository: one for one in _list_locked(result, lock)}
    if is_frozen:
        result.is_frozen = True
        result.selected = list(locked.values())
        return
    differences = _Differences()
    merged = [_merge(one, locked.pop(one.repository.repository, None), differences) for one in result.selected]
    merged += [_merge(replace(one, tags=()), one, differences) for one in locked.values()]
    result.selected = sorted(merged, key=lambda one: one.repository.repository)
    if result.errors or result.incomplete:
        # What could not be listed may still be selected.
        differences.unselected.clear()
        differences.unlisted.clear()
    result.notes += differences.describe(result.mirror.name)


def explain_locked(found: PlanError, tag: ListedTag, error: ImgsyncError) -> PlanError:
    """Return *found*, or the error that a locked digest is gone."""
    if not isinstance(error, NotFoundError) or tag.digest is None or not error.reference.endswith(tag.digest):
        return found
    message = f"locked digest no longer served: the source does not have {shorten_digest(tag.digest)}"
    hint = f"take the digest that the tag has now: imgsync lock --update --only {found.mirror} --image '{found.reference.partition('@')[0]}'"
    return replace(found, message=message, hint=hint)


def _list_locked(result: MirrorPlan, lock: Lock) -> Iterator[SelectedTags]:
    """Yield what *lock* has, as selected tags, narrowed to the planned part."""
    mirror = result.mirror
    paths = mirror.source.compile_filter()
    # A declared digest is part of the tag's name.
    pins = {name.partition("@")[0]: name for name in mirror.tags.names if is_pin(name)}
    for name, images in lock.iter_repositories():
        repository = parse_repository(name)
        found = SourceRepository(repository, next(iter(list_relative_paths(mirror.source, paths, repository.path)), repository.path))
        tags = pack_in_order(ListedTags(_make_tags(images, pins)))
        selected = SelectedTags(found, tags, steps=(), locked=tags, unlisted=frozenset(tag.name for tag in tags), is_judged=False)
        if result.part is not None:
            selected = result.part.narrow(selected)
            selected = replace(selected, locked=selected.tags, steps=())
        if len(selected.tags):
            yield selected


def _make_tags(images: Iterable[LockedImage], pins: dict[str, str]) -> Iterator[ListedTag]:
    for one in images:
        yield ListedTag(pins.get(one.tag_or_digest, one.tag_or_digest), digest=one.digest)


def _merge(selected: SelectedTags, locked: SelectedTags | None, differences: _Differences) -> SelectedTags:
    """Return *selected* with the tags of the lock; note differences."""
    repository = selected.repository.repository
    own = {tag.name: tag.digest for tag in locked.tags} if locked is not None else {}
    listed: set[str] = set()
    for tag in selected.tags:
        if tag.name not in own:
            differences.new.append(f"{repository.path}:{tag.name}")
            continue
        listed.add(tag.name)
        if tag.digest is not None and tag.digest != own[tag.name]:
            moved = f"{shorten_digest(own[tag.name] or '')} → {shorten_digest(tag.digest)}"
            differences.moved.append(f"{repository.path}:{tag.name} {moved}")
    unlisted = own.keys() - listed
    # An empty list is rather a lost permission than a deletion.
    kind = differences.unlisted if selected.lists_nothing else differences.unselected
    kind += sorted(f"{repository.path}:{name}" for name in unlisted)
    return replace(selected, locked=locked.tags if locked is not None else (), unlisted=frozenset(unlisted))
