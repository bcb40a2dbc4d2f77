"""
Plan one tag at every destination.

Sends as few requests as possible: a record stands for the destination, a listing with digests for the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace

from imgsync.concurrency.greenlets import run_both
from imgsync.config.model import Mirror
from imgsync.errors import LimitReachedError
from imgsync.filters.globs import compile_glob
from imgsync.listing.model import ListedTag
from imgsync.oci.image_store import Resolved
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import shorten_digest
from imgsync.oci.spec.reference import Reference, Repository, is_pin
from imgsync.plan.context import PlanContext
from imgsync.plan.list_repositories import SourceRepository
from imgsync.plan.model import PENDING, Change, summarize_left_out
from imgsync.plan.plan_target import TargetPlanner
from imgsync.plan.source_tags import SourceTag, SourceTags, TagContent, TagMoved
from imgsync.plan.targets import Target, Targets
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_count


@dataclass(slots=True)
class TagPlan:
    """
    The plan of one tag.

    `exists` says whether the source has the tag, `is_seen` whether this run asked. `served` are destinations that have it, `lacking` those that
    do not. `blobs` and `manifests` are those of the pending image and its referrers. `dropped` are
    destinations whose record was damaged, `warnings` describe skipped referrers, `moved` a tag that moved while it was read.
    """

    changes: list[Change] = field(default_factory=list)
    exists: bool = True
    is_seen: bool = False
    served: tuple[Reference, ...] = ()
    lacking: tuple[Reference, ...] = ()
    blobs: tuple[Descriptor, ...] = ()
    manifests: tuple[str, ...] = ()
    dropped: list[str] = field(default_factory=list)
    warnings: dict[str, None] = field(default_factory=dict)
    moved: str = ""


class TagPlanner:
    """Plans the tags of one mirror."""

    def __init__(self, mirror: Mirror, context: PlanContext, *, copies_at_once: int) -> None:
        """Expect *copies_at_once* images to be copied meanwhile."""
        self._mirror = mirror
        self._check = context.stop.raise_if_requested
        self._sources = SourceTags(mirror, context)
        self._targets = Targets(mirror, context, copies_at_once=copies_at_once)
        self._planner = TargetPlanner(mirror, context, self._sources, self._targets)
        self._immutable = [compile_glob(text) for text in mirror.immutable]

    def plan(self, found: SourceRepository, listed: ListedTag) -> TagPlan:
        """
        Return the changes that bring the tag *listed* to every destination.

        Raises:
            ImgsyncError: A registry fails, or the image cannot be copied.
        """
        self._check()
        source = found.repository.with_name(listed.name)
        is_immutable = any(glob.fullmatch(source.tag) for glob in self._immutable)
        result = TagPlan()
        pending: list[Target] = []
        for destination in self._mirror.destinations:
            target = self._targets.find(destination, found, source.tag_or_digest)
            if is_immutable and self._planner.is_settled(target, source.repository, listed.digest):
                result.changes.append(self._planner.keep(source, target))
            else:
                pending.append(target)
        if pending:
            self._plan_targets(source, listed, pending, result, is_immutable=is_immutable)
        return result

    def _plan_targets(self, source: Reference, listed: ListedTag, targets: list[Target], result: TagPlan, *, is_immutable: bool) -> None:
        targets, resolved = self._query(source, listed, targets)
        result.is_seen = not is_pin(listed.name) or self._must_pull(listed, targets)
        if resolved is None:
            result.exists = False
            result.served = (*(change.destination for change in result.changes), *(one.reference for one in targets if one.served is not None))
            result.lacking = tuple(one.reference for one in targets if one.served is None)
            return
        targets = [self._drop_damaged_record(target, source.repository, result) for target in targets]
        tag = SourceTag(source, listed, resolved, is_immutable, result.warnings)
        try:
            result.changes += [self._plan_target(tag, target, result) for target in targets]
        except TagMoved as moved:
            tag = tag.move_to(moved.manifest)
            result.moved = f"{source} was {shorten_digest(resolved.digest)} when resolved and {shorten_digest(tag.digest)} when read; the latter is planned"
            result.changes += [self._plan_target(tag, target, result) for target in targets]

    def _query(self, source: Reference, listed: ListedTag, targets: list[Target]) -> tuple[list[Target], Resolved | None]:
        """Look up what *targets* serve and what the source has."""

        def look_up() -> list[Target]:
            return [self._targets.look_up(target) for target in targets]

        may_hold = self._mirror.tags.min_age_seconds is not None
        is_new = listed.digest is None and all(target.record is None for target in targets)
        if is_new and not may_hold and self._sources.is_far_and_unmetered:
            # Probably no destination has it. To a distant source, a manifest pulled in vain costs less than another round trip.
            return run_both(look_up, lambda: self._sources.resolve(source, listed, pull=True))
        found = look_up()
        return found, self._sources.resolve(source, listed, pull=self._must_pull(listed, found))

    def _must_pull(self, listed: ListedTag, targets: Sequence[Target]) -> bool:
        """Return whether to pull the manifest at once, since it is needed."""
        if self._mirror.tags.min_age_seconds is not None:
            # An image that may be held is only resolved: it may be copied days later, and pulls are counted.
            return False
        lacking = [target.served is None for target in targets]
        return any(lacking) if is_pin(listed.name) else all(lacking)

    def _drop_damaged_record(self, target: Target, source: Repository, result: TagPlan) -> Target:
        if not self._targets.is_damaged(target, source):
            return target
        result.dropped.append(str(target.reference))
        return self._targets.look_up(Target(target.reference, None))

    def _plan_target(self, tag: SourceTag, target: Target, result: TagPlan) -> Change:
        change = self._planner.plan(tag, target)
        if change.action not in PENDING:
            return replace(change, size_bytes=tag.listed.size_bytes if change.size_bytes is None else change.size_bytes)
        # Reading the content needs the manifest of the tag, even if it fails.
        result.manifests = (tag.digest,)
        try:
            content = self._sources.read_content(tag)
        except LimitReachedError as error:
            return replace(change, reason=f"{change.reason}; size unknown: {error.message}")
        self._targets.check_parts(target, content.blobs)
        result.blobs = content.blobs
        result.manifests += content.manifests
        return self._describe_content(change, tag, content)

    def _describe_content(self, change: Change, tag: SourceTag, content: TagContent) -> Change:
        root = content.image.root
        reasons = [change.reason]
        if root.digest != tag.digest:
            reasons += [f"only {', '.join(self._mirror.platforms or ())}, other platforms are dropped", f"the digest becomes {root.digest}"]
        if content.referrers:
            reasons.append(f"with {format_count(len(content.referrers.found), 'referrer')}")
        if content.left_out:
            reasons.append(summarize_left_out(content.left_out))
        return replace(
            change,
            size_bytes=content.image.size_bytes,
            reason="; ".join(reasons),
            media_type=root.media_type,
            left_out=content.left_out,
            pushed_digest=root.digest if root.digest != tag.digest else None,
        )
