"""Decide which digest one image of a lock gets."""

from __future__ import annotations

from imgsync.config.model import Mirror
from imgsync.filters.globs import compile_glob
from imgsync.listing.model import ListedTag
from imgsync.lock.model import LockedImage
from imgsync.oci.spec.digest import shorten_digest
from imgsync.oci.spec.reference import Reference, is_pin
from imgsync.plan.context import PlanContext
from imgsync.plan.known_tags import KnownTags
from imgsync.plan.lock_changes import LockAction, LockChange
from imgsync.plan.lock_update import LockUpdate
from imgsync.plan.min_age import MinimumAge
from imgsync.plan.model import PlanError
from imgsync.plan.plan_error import make_missing_error
from imgsync.plan.select_tags import is_named_exactly
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_timestamp

_GONE = "the source no longer has this tag; its digest stays"


@dataclass(frozen=True, slots=True)
class LockTask:
    """A selected image, as listed and as locked."""

    image: str
    reference: Reference
    listed: ListedTag
    locked: LockedImage | None


@dataclass(frozen=True, slots=True)
class SettledImage:
    """What the new lock has of an image, None for nothing."""

    repository: str
    locked: LockedImage | None
    change: LockChange | None = None
    error: PlanError | None = None


class ImageLocker:
    """Decides about the images of one mirror."""

    def __init__(self, mirror: Mirror, context: PlanContext, known: KnownTags, *, update: LockUpdate) -> None:
        """Ask the source of *mirror* for what its listing lacks."""
        self._mirror = mirror
        self._context = context
        self._known = known
        self._update = update
        self._immutable = [compile_glob(text) for text in mirror.immutable]
        self._minimum_age = MinimumAge(mirror.tags, context.state, now=context.now)
        self._client = context.registries.make_source_client(mirror, check=context.stop.raise_if_requested)

    def settle_at_once(self, task: LockTask) -> SettledImage | None:
        """Decide about an image, or return None if that takes a request."""
        if is_pin(task.listed.name):
            return self._replace(task, task.reference.digest, "declared with this digest")
        if task.locked is not None and not self._update.includes(task.image):
            is_known = not self._update.checks or task.listed.digest == task.locked.digest or self._is_known(task, task.locked.digest)
            return self._keep(task) if is_known else None
        if task.locked is not None and task.listed.digest == task.locked.digest:
            return self._keep(task)
        needs_request = task.listed.digest is None or self._context.policy.list_requirements(self._mirror, task.reference.repository)
        return None if needs_request else self._decide(task, task.listed.digest or "")

    def settle(self, task: LockTask) -> SettledImage:
        """
        Decide about an image, asking the source.

        Raises:
            ImgsyncError: The source fails.
        """
        digest = task.listed.digest
        if digest is None:
            found = self._client.resolve(task.reference)
            if found is None:
                return self._settle_missing(task)
            digest = found.digest
        if task.locked is not None and not self._update.includes(task.image):
            return self._check(task, task.locked, digest)
        return self._decide(task, digest)

    def _settle_missing(self, task: LockTask) -> SettledImage:
        """Decide about an image that the source does not have."""
        if task.locked is not None:
            return self._keep(task, self._make_change(LockAction.KEEP, task, None, _GONE))
        is_exact = task.listed.name in self._mirror.tags.names and is_named_exactly(self._mirror, task.reference.repository)
        error = make_missing_error(self._mirror, task.reference, "correct the tag in `tags.names`") if is_exact else None
        return SettledImage(str(task.reference.repository), None, error=error)

    def _decide(self, task: LockTask, digest: str) -> SettledImage:
        """Take *digest*, unless something holds it back."""
        locked = task.locked
        if locked is not None and locked.digest == digest:
            return self._keep(task)
        if locked is not None and any(glob.fullmatch(task.reference.tag) for glob in self._immutable):
            reason = f"immutable tag moved at the source: {shorten_digest(locked.digest)} → {shorten_digest(digest)}"
            return self._keep(task, self._make_change(LockAction.REFUSE, task, digest, reason))
        hold = None if self._is_mirrored(task, digest) else self._minimum_age.find_hold(task.reference, digest)
        if hold is not None:
            return self._keep(task, self._make_change(LockAction.HOLD, task, digest, hold.reason, held_until=hold.until))
        problem = self._context.policy.find_problem(self._mirror, self._client, task.reference.repository, digest)
        if problem:
            return self._keep(task, self._make_change(LockAction.REFUSE, task, digest, f"does not meet `require`: {problem}"))
        return self._replace(task, digest, "not locked yet" if locked is None else "moved at the source")

    def _check(self, task: LockTask, locked: LockedImage, digest: str) -> SettledImage:
        """Compare a digest that stays with what the source serves."""
        if digest == locked.digest:
            return self._keep(task)
        if self._client.resolve(task.reference.repository.with_digest(locked.digest)) is None:
            reason = f"the source does not serve this digest: it never belonged to the tag, or was deleted; the tag names {shorten_digest(digest)}"
            return self._keep(task, self._make_change(LockAction.MISMATCH, task, digest, reason))
        reason = f"the tag names {shorten_digest(digest)} now; `--update` takes it. No record shows that it named the locked digest before"
        return self._keep(task, self._make_change(LockAction.KEEP, task, digest, reason))

    def _keep(self, task: LockTask, change: LockChange | None = None) -> SettledImage:
        return SettledImage(str(task.reference.repository), task.locked, change)

    def _replace(self, task: LockTask, digest: str, reason: str) -> SettledImage:
        if task.locked is not None and task.locked.digest == digest:
            return self._keep(task)
        action = LockAction.ADD if task.locked is None else LockAction.UPDATE
        return SettledImage(str(task.reference.repository), LockedImage(task.image, digest), self._make_change(action, task, digest, reason))

    def _make_change(self, action: LockAction, task: LockTask, digest: str | None, reason: str, *, held_until: str | None = None) -> LockChange:
        repository = task.reference.repository
        is_listed = digest is not None and task.listed.digest == digest
        created_at = task.listed.created_at if is_listed else None
        has_passed = action in {LockAction.ADD, LockAction.UPDATE} and not is_pin(task.listed.name)
        required = self._context.policy.list_requirements(self._mirror, repository) if has_passed else ()
        return LockChange(
            action,
            self._mirror.name,
            task.image,
            task.locked.digest if task.locked is not None else None,
            digest,
            reason,
            size_bytes=task.listed.size_bytes if is_listed else None,
            created_at=None if created_at is None else format_timestamp(created_at),
            first_seen=self._context.state.get_first_seen(str(repository), digest or "") or None,
            held_until=held_until,
            signed_by=tuple(dict.fromkeys(name for one in required for name in (*one.keys, *one.identities))),
        )

    def _is_mirrored(self, task: LockTask, digest: str) -> bool:
        """Return whether the state records that *digest* was mirrored already."""
        return self._mirror.tags.min_age_seconds is not None and self._is_known(task, digest)

    def _is_known(self, task: LockTask, digest: str) -> bool:
        """Return whether the tag had *digest* in an earlier run."""
        return any(record.source_digest == digest for record in self._known.find(task.reference.repository, task.reference.tag_or_digest))
