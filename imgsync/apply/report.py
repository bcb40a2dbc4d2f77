"""The report of a run: one outcome per change."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from imgsync.oci.spec.digest import is_crc32
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.model import Action, Change, KeptTags, PlanError, insert_kept
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.apply.packed_outcomes import PackedOutcomes


class Result(StrEnum):
    """
    The result of one change.

    A kept tag was up to date. A held one waits for its minimum age. A refused one may not be changed. A remaining one is left for the next run.
    """

    COPIED = "copied"
    KEPT = "kept"
    FAILED = "failed"
    REFUSED = "refused"
    DELETED = "deleted"
    REMAINING = "remaining"
    HELD = "held"


# What a change that needs no work comes to.
UNCHANGED: Mapping[Action, Result] = {Action.KEEP: Result.KEPT, Action.HOLD: Result.HELD, Action.REFUSE: Result.REFUSED}
# What outcomes and shared blobs both count.
COUNTS = ("bytes_copied", "blobs_copied", "blobs_mounted", "blobs_present")
# A crc32 that is not known; another run may have recorded any text.
_UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one change, its cost, and what was left out."""

    change: Change
    result: Result
    digest: str | None = None
    crc32: str | None = None
    bytes_copied: int = 0
    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_present: int = 0
    seconds: float = 0.0
    attempts: int = 0
    error: str | None = None
    hint: str = ""
    left_out: tuple[str, ...] = ()


class KeptOutcomes:
    """
    The outcomes of one mirror's kept tags.

    Only the crc32 of each is held beside its change.
    """

    def __init__(self, changes: KeptTags[Change]) -> None:
        """Take the crc32 of each of *changes* by `add`, in their order."""
        self._changes = changes
        self._crc32s = array("q")

    @property
    def mirror(self) -> str:
        """Return the name of the mirror."""
        return self._changes.mirror

    def add(self, outcome: Outcome) -> None:
        """Add the *outcome* of the next change."""
        crc32 = outcome.crc32 or ""
        self._crc32s.append(int(crc32, 16) if is_crc32(crc32) else _UNKNOWN)

    def __len__(self) -> int:
        """Return the number of outcomes."""
        return len(self._crc32s)

    def __iter__(self) -> Iterator[Outcome]:
        """Yield each outcome."""
        for change, crc32 in zip(self._changes, self._crc32s, strict=True):
            yield make_kept_outcome(change, None if crc32 == _UNKNOWN else f"{crc32:08x}")


def make_kept_outcome(change: Change, crc32: str | None) -> Outcome:
    """Return the outcome of a kept *change*, whose manifest has *crc32*."""
    return Outcome(change, Result.KEPT, digest=change.destination_digest, crc32=crc32)


def make_unchanged_outcome(change: Change, crc32: str | None = None) -> Outcome:
    """Return the outcome of a kept, held or refused *change*."""
    if change.action is Action.KEEP:
        return make_kept_outcome(change, crc32)
    error = change.reason if change.action is Action.REFUSE else None
    return Outcome(change, UNCHANGED[change.action], digest=change.destination_digest, crc32=crc32, error=error, hint=change.advice)


@dataclass(frozen=True, slots=True)
class SharedCopies:
    """What shards moved for one mirror apart from its images."""

    mirror: str
    bytes_copied: int = 0
    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_present: int = 0


def add_shared(copies: Iterable[SharedCopies]) -> tuple[SharedCopies, ...]:
    """Return *copies* as one per mirror."""
    found: dict[str, SharedCopies] = {}
    for one in copies:
        known = found.get(one.mirror, SharedCopies(one.mirror))
        found[one.mirror] = SharedCopies(one.mirror, *(getattr(known, count) + getattr(one, count) for count in COUNTS))
    return tuple(found[mirror] for mirror in sorted(found))


@dataclass(slots=True)
class Sums:
    """What outcomes add up to; `left_out` counts those that left something out."""

    count: int = 0
    bytes_copied: int = 0
    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_present: int = 0
    seconds: float = 0.0
    left_out: int = 0

    def add(self, outcome: Outcome) -> None:
        """Add *outcome*."""
        self.count += 1
        self.bytes_copied += outcome.bytes_copied
        self.blobs_copied += outcome.blobs_copied
        self.blobs_mounted += outcome.blobs_mounted
        self.blobs_present += outcome.blobs_present
        self.seconds += outcome.seconds
        self.left_out += bool(outcome.left_out)


# By mirror and result, in the order of their first outcomes.
SumsByMirror = Mapping[tuple[str, Result], Sums]


def sum_outcomes(outcomes: Iterable[Outcome]) -> dict[tuple[str, Result], Sums]:
    """Return the sums of *outcomes*."""
    found: dict[tuple[str, Result], Sums] = {}
    for outcome in outcomes:
        found.setdefault((outcome.change.mirror, outcome.result), Sums()).add(outcome)
    return found


@dataclass(frozen=True, slots=True)
class Report:
    """
    Every outcome of a run, in the plan's order.

    `outcomes` are those of which all is held, `kept` are more kept ones, by mirror. `errors` are those of the plan; `seconds` is the duration of the
    run; `stopped` says why it stopped early, "" if it did not; `created_at` is when it ended (RFC 3339); `gone` are tags that stay although their
    source no longer has them; `shared` is what shards moved apart from images.
    """

    plan_id: str
    outcomes: tuple[Outcome, ...] | PackedOutcomes
    errors: tuple[PlanError, ...] = ()
    seconds: float = 0.0
    stopped: str = ""
    notes: tuple[str, ...] = ()
    created_at: str = ""
    gone: tuple[GoneTag, ...] = ()
    shared: tuple[SharedCopies, ...] = ()
    kept: tuple[KeptTags[Outcome], ...] = ()

    def count(self, result: Result) -> int:
        """Return how many outcomes have *result*."""
        kept = sum(map(len, self.kept)) if result == Result.KEPT else 0
        return sum(sums.count for (_, found), sums in self.sums.items() if found == result) + kept

    @property
    def sums(self) -> SumsByMirror:
        """Return the sums of the held outcomes."""
        return sum_outcomes(self.outcomes) if isinstance(self.outcomes, tuple) else self.outcomes.sums

    def select(self, *results: Result) -> Iterator[Outcome]:
        """Yield the held outcomes with one of *results*."""
        if not any(result in results for _, result in self.sums):
            # Reading all of them takes time.
            return iter(())
        return (outcome for outcome in self.outcomes if outcome.result in results)

    def iter_outcomes(self) -> Iterator[Outcome]:
        """Yield every outcome in order, also of kept tags."""
        return insert_kept(self.outcomes, self.kept, lambda outcome: outcome.change.mirror)

    def total(self, field: str) -> int:
        """Return the sum of an integer *field* over outcomes and shared blobs."""
        return sum(getattr(one, field) for one in (*self.sums.values(), *self.shared))
