"""What `imgsync lock` changes, as values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from imgsync.lock.model import LockedImage
from imgsync.plan.model import PlanError
from imgsync.system.dataclass import dataclass


class LockAction(StrEnum):
    """What happens to one line of a lock; `KEEP` only reports something."""

    ADD = "add"
    UPDATE = "update"
    DROP = "drop"
    HOLD = "hold"
    REFUSE = "refuse"
    MISMATCH = "mismatch"
    KEEP = "keep"

    @property
    def glyph(self) -> str:
        """Return the sign of the action, as in a plan."""
        return {"add": "+", "update": "~", "drop": "-", "hold": "?", "refuse": "!", "mismatch": "x", "keep": "="}[self.value]


# The others leave the line as it is.
WRITTEN = frozenset({LockAction.ADD, LockAction.UPDATE, LockAction.DROP})
WRONG = frozenset({LockAction.REFUSE, LockAction.MISMATCH})


@dataclass(frozen=True, slots=True)
class LockChange:
    """
    What happens to one image of a lock.

    The fields are those of imgsync.lock-changes/v1. Those from `size_bytes` on are what is known about the new digest.
    """

    action: LockAction
    mirror: str
    image: str
    locked_digest: str | None
    source_digest: str | None
    reason: str
    size_bytes: int | None = None
    created_at: str | None = None
    first_seen: str | None = None
    held_until: str | None = None
    signed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MirrorLock:
    """
    The new lock of one mirror.

    `images` is its content, sorted. With errors, the file stays as it is. `held` are digests that were seen, as (repository, digest).
    """

    mirror: str
    file: str
    declaration: str
    images: Collection[LockedImage]
    changes: Sequence[LockChange] = ()
    notes: tuple[str, ...] = ()
    errors: tuple[PlanError, ...] = ()
    held: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LockResult:
    """
    The locks of all mirrors.

    `changed` are the files that differ from what they should be. `notes` are about all mirrors.
    """

    locks: Sequence[MirrorLock]
    changed: frozenset[str]
    is_check: bool
    created_at: str
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> Sequence[LockChange]:
        """Return the changes of all mirrors, in order."""
        return [change for lock in self.locks for change in lock.changes]

    @property
    def errors(self) -> Sequence[PlanError]:
        """Return the errors of all mirrors."""
        return [error for lock in self.locks for error in lock.errors]

    @property
    def counts(self) -> Mapping[LockAction, int]:
        """Return the number of changes by action."""
        found = Counter(change.action for lock in self.locks for change in lock.changes)
        return {action: found[action] for action in LockAction}

    @property
    def locked(self) -> int:
        """Return the number of images in all locks."""
        return sum(len(lock.images) for lock in self.locks if not lock.errors)
