"""
What the coordinator knows of its batches: sent, answered, dead. No I/O.

An answer counts once: batch and change must be those that were sent, and it may only say what the plan allows.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field

from imgsync.apply.batch import Answer, Batch, RefusedReason
from imgsync.apply.combine import find_impossible, set_planned
from imgsync.apply.report import Outcome, Result, SharedCopies, add_shared
from imgsync.apply.shard_outcome import FoundBlobs
from imgsync.fleet.cut import Cutter, Part
from imgsync.fleet.make_batch import BUDGET_SECONDS, MOST_BUDGET_SECONDS, BatchMaker
from imgsync.oci.spec.reference import Reference
from imgsync.plan.model import Change
from imgsync.system.dataclass import dataclass

POISON = "poison: no worker could answer its batch, which ended in the dead queue"
POISON_HINT = "see the logs of the workers that got it; the queue's messages were read and removed"
_STUCK = "not finished within the longest budget of a batch, again and again"
_STUCK_HINT = "a blob takes longer than that: copy the image with `imgsync copy`, or use a faster line"
# Answers in a row that bring none of a batch's changes to an end.
_MOST_TRIES = 5


@dataclass(slots=True)
class _Out:
    """A batch that was sent, and not answered yet."""

    part: Part
    attempt: int
    budget_seconds: float
    sent_at: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """What one answer, or a dead batch, came to."""

    outcomes: tuple[Outcome, ...] = ()
    done: Answer | None = None
    blobs: tuple[FoundBlobs, ...] = ()
    part: Part = Part()


@dataclass(slots=True)
class Sums:
    """What all answers said together."""

    shared: tuple[SharedCopies, ...] = ()
    requests: dict[str, dict[str, Counter[str]]] = field(default_factory=lambda: {"source": {}, "destination": {}})
    throttled: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class RefusedMessageError(Exception):
    """A message that does nothing, and why."""

    def __init__(self, reason: RefusedReason) -> None:
        """Say *reason* in the log and in the metrics."""
        super().__init__(reason.value)
        self.reason = reason


class Dispatch:
    """The batches of one run."""

    def __init__(self, cutter: Cutter, maker: BatchMaker, *, run: str) -> None:
        """Send what *cutter* hands out, as *maker* makes it."""
        self.run = run
        self.sums = Sums()
        self._cutter = cutter
        self._maker = maker
        self._out: dict[int, _Out] = {}
        self._number = 0
        self._has_blobs = True
        # Tries without any progress, by the first destination of a part.
        self._tries: Counter[Reference] = Counter()
        self._refusals: Counter[Reference] = Counter()
        self._workers = 1

    @property
    def out_count(self) -> int:
        """Return how many batches are not answered."""
        return len(self._out)

    @property
    def is_done(self) -> bool:
        """Return whether everything was sent and answered."""
        return self._cutter.is_empty and not self._out

    def take(self, *, workers: int, now: float) -> Batch | None:
        """Return the next batch to send, if one is ready."""
        self._workers = workers
        part = self._cutter.take_blobs(workers)
        if part is None and self._has_blobs and self._out:
            # Who needs a shared blob mounts it from its home, so the homes come first.
            return None
        if part is None:
            self._has_blobs = False
            part = self._cutter.take_changes(workers)
        if part is None:
            return None
        tries = 0 if part.blobs else self._tries[part.changes[0].destination]
        out = _Out(part, 1, min(MOST_BUDGET_SECONDS, BUDGET_SECONDS * 2.0**tries), now)
        self._number += 1
        self._out[self._number] = out
        return self._make(self._number, out, workers)

    def take_overdue(self, *, workers: int, now: float, waiting: int = 0) -> list[Batch]:
        """
        Return batches without an answer within twice their budget.

        If all of them are among the *waiting*, no worker has begun any. Then all come again, with the time of now: no worker takes a batch that is old.
        """
        overdue = [number for number, out in self._out.items() if now - out.sent_at > 2 * out.budget_seconds]
        if waiting:
            overdue = list(self._out) if overdue and waiting >= len(self._out) else []
        for number in overdue:
            out = self._out[number]
            out.sent_at, out.attempt = now, out.attempt + 1
        return [self._make(number, self._out[number], workers) for number in overdue]

    def accept(self, answer: Answer) -> Accepted:
        """
        Return what *answer* brings.

        Raises:
            RefusedMessageError: It is not of a batch that was sent, was answered before, or says what the plan does not allow.
        """
        out = self._find(answer.run, answer.batch)
        changes = {change.destination: change for change in out.part.changes}
        outcomes = () if out.part.blobs else tuple(_check_outcome(one, changes) for one in answer.done.outcomes)
        repositories = {str(destination.repository) for destination in changes}
        mirrors = {change.mirror for change in changes.values()}
        if len({one.change.destination for one in outcomes}) < len(outcomes) or not repositories.issuperset(one.repository for one in answer.done.blobs):
            raise RefusedMessageError(RefusedReason.IMPOSSIBLE)
        if not mirrors.issuperset([*(one.mirror for one in answer.done.shared), *(one.mirror for one in answer.done.errors)]):
            raise RefusedMessageError(RefusedReason.IMPOSSIBLE)
        del self._out[answer.batch]
        self._add(answer)
        if answer.refused and not out.part.blobs:
            return Accepted(self._refuse(out.part, answer), answer, part=out.part)
        return Accepted(self._settle(out.part, outcomes), answer, answer.done.blobs, out.part)

    def accept_dead(self, run: str, number: int) -> Accepted:
        """
        Return the failures of a batch that ended in the dead queue.

        Raises:
            RefusedMessageError: It is not of a batch that was sent.
        """
        out = self._find(run, number)
        del self._out[number]
        changes = () if out.part.blobs else self._end(out.part)
        return Accepted(tuple(Outcome(change, Result.FAILED, error=POISON, hint=POISON_HINT) for change in changes))

    def _find(self, run: str, number: int) -> _Out:
        if not secrets.compare_digest(run, self.run):
            raise RefusedMessageError(RefusedReason.OTHER_RUN)
        out = self._out.get(number)
        if out is None:
            raise RefusedMessageError(RefusedReason.REPEATED if 0 < number <= self._number else RefusedReason.UNKNOWN)
        return out

    def _make(self, number: int, out: _Out, workers: int) -> Batch:
        return self._maker.make(out.part, number=number, attempt=out.attempt, workers=workers, budget_seconds=out.budget_seconds)

    def _settle(self, part: Part, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        """Return the outcomes that are final; what is left is sent again."""
        final = tuple(one for one in outcomes if one.result is not Result.REMAINING)
        ended = {one.change.destination for one in final}
        left = [change for change in part.changes if change.destination not in ended] if part.units else []
        if left and not final:
            self._tries[left[0].destination] += 1
            if self._tries[left[0].destination] >= _MOST_TRIES:
                self._cutter.give_back(part, {change.destination for change in left[1:]})
                return (Outcome(left[0], Result.FAILED, error=_STUCK, hint=_STUCK_HINT),)
        self._cutter.give_back(part, {change.destination for change in left})
        return final

    def _refuse(self, part: Part, answer: Answer) -> tuple[Outcome, ...]:
        """Send *part* to another worker, or fail if several refused it."""
        first = part.changes[0].destination
        self._refusals[first] += 1
        if self._refusals[first] < min(self._workers, _MOST_TRIES):
            self._cutter.give_back(part, {change.destination for change in part.changes})
            return ()
        reason = f"worker {answer.worker} refused it: {answer.refused}"
        return tuple(Outcome(change, Result.FAILED, error=reason) for change in self._end(part))

    def _end(self, part: Part) -> tuple[Change, ...]:
        """Free the units of *part*, and return its changes, which are over."""
        self._cutter.give_back(part, set())
        return part.changes

    def _add(self, answer: Answer) -> None:
        done = answer.done
        self.sums.shared = add_shared((*self.sums.shared, *done.shared))
        self.sums.throttled.update(done.throttled)
        self.sums.refused[RefusedReason.BATCH] += bool(answer.refused)
        for traffic in done.traffic:
            self.sums.requests[traffic.side].setdefault(traffic.registry, Counter()).update(traffic.requests)


def _check_outcome(outcome: Outcome, changes: Mapping[Reference, Change]) -> Outcome:
    """Return *outcome* with the change of the plan."""
    change = changes.get(outcome.change.destination)
    if change is None or find_impossible(outcome, change):
        raise RefusedMessageError(RefusedReason.IMPOSSIBLE)
    return set_planned(outcome, change)
