"""
Make a plan true: run its changes, remember what was pushed, tell what came of each.

Workers return, this module writes: only it touches the state and emits the line of each image.
Spec: design.md §3 exit codes, §4 report, §5 logs, §6 state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imgsync.apply.adopt import adopted, referrers_seen
from imgsync.apply.listener import Watcher
from imgsync.apply.order import Turns
from imgsync.apply.report import Outcome, Report, Result
from imgsync.apply.time_limits import Limits
from imgsync.concurrency.greenlets import spawn_later
from imgsync.concurrency.workers import Workers
from imgsync.config.model import Config
from imgsync.errors import StateError
from imgsync.logs.logger import Logger
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.reference import Repository, parse_reference
from imgsync.plan.context import Inquiry
from imgsync.plan.model import PENDING, Action, Change, Plan, PlanError
from imgsync.plan.ready import OnPending
from imgsync.state import Record
from imgsync.text.units import format_timestamp

if TYPE_CHECKING:
    from imgsync.apply.copy_change import Attempts, Done, Item

# Images so large that they leave a place free for smaller ones.
_LARGE_BYTES = 64 << 20
_UNDONE = {Action.KEEP: Result.KEPT, Action.HOLD: Result.HELD, Action.REFUSE: Result.REFUSED}


# Makes the plan, telling of the pending changes of each source tag as soon as they are certain.
Planning = Callable[[OnPending], Plan]


def apply_as_planned(planning: Planning, config: Config, inquiry: Inquiry, *, watcher: Watcher, limits: Limits) -> Report:
    """
    Return what came of every change of the plan that *planning* makes, carried out while it is being made.

    One image's failure never stops the others unless limits say so. A stop lets nothing new begin and gives what runs its grace; what
    was not done is "remaining".

    Raises:
        ImgsyncError: The plan cannot be made; what had begun was brought to its end.
    """
    return _Run(config, inquiry, watcher=watcher, limits=limits).report(planning)


class _Run:
    def __init__(self, config: Config, inquiry: Inquiry, *, watcher: Watcher, limits: Limits) -> None:
        self._mirrors = {mirror.name: mirror for mirror in config.mirrors}
        self._inquiry = inquiry
        self._registries = inquiry.registries
        self._state = inquiry.state
        self._log = inquiry.log
        self._watcher = watcher
        self._stop = inquiry.stop
        self._limits = limits
        self._began = time.monotonic()
        self._attempts: Attempts | None = None
        self._plan: Plan | None = None
        self._submitted: dict[str, Change] = {}
        self._turns = Turns(inquiry.state.left)
        self._outcomes: dict[str, Outcome] = {}

    def report(self, planning: Planning) -> Report:
        at_once = max((mirror.concurrency.images for mirror in self._mirrors.values()), default=1)
        workers: Workers[Item, Done | None] = Workers(self._carry_out, limit=at_once, stop=self._stop)
        self._stop_in_time(workers)
        workers.produce(lambda: self._make_plan(planning, workers))
        for batch in workers.batches():
            self._record([done for done in batch if done is not None])
        plan = self._plan or self._unfinished_plan()
        self._delete(plan)
        return Report(
            plan_id=plan.id,
            outcomes=tuple(self._outcomes.get(change.destination) or Outcome(change, Result.REMAINING) for change in plan.changes),
            errors=plan.errors,
            seconds=round(time.monotonic() - self._began, 3),
            stopped=self._stop.reason,
            notes=plan.notes,
            created_at=format_timestamp(datetime.now(UTC)),
        )

    def _stop_in_time(self, workers: Workers[Item, Done | None]) -> None:
        """See to it that the run ends within its time: nothing new in the last of it, then a cut that leaves enough to say what came of it."""
        whole = self._limits.whole_seconds([mirror.timeouts.run_seconds for mirror in self._mirrors.values() if not mirror.suspend])
        if whole is None:
            return
        closes, cuts = self._limits.close_seconds(whole), self._limits.cut_seconds(whole)
        # Planning that takes long must not use up the time of one run after the other: what comes first is then what is known.
        spawn_later(max(0.0, closes / 2 - self._limits.elapsed_seconds), lambda: self._submit_all(workers, self._turns.open()))
        spawn_later(max(0.0, closes - self._limits.elapsed_seconds), lambda: self._stop.close("the run's time is up", grace_seconds=cuts - closes))

    def _unfinished_plan(self) -> Plan:
        """Return what is known of a plan whose making was left behind, since a registry did not answer."""
        errors = [
            PlanError(mirror.name, mirror.source.registry, f"stopped while planning: {self._stop.reason}", "run again for the rest", later=True)
            for mirror in self._mirrors.values()
            if not mirror.suspend
        ]
        return Plan(tuple(self._submitted.values()), errors=tuple(errors))

    def _make_plan(self, planning: Planning, workers: Workers[Item, Done | None]) -> None:
        plan = self._plan = planning(lambda changes: self._submit_all(workers, self._turns.take(changes)))
        self._watcher.watch(plan)
        together: dict[tuple[str, str, str | None], list[Change]] = {}
        for change in plan.copies:
            if change.destination not in self._submitted:
                together.setdefault((change.mirror, change.source, change.source_digest), []).append(change)
        # What was held back is among them.
        self._turns.open()
        self._submit_all(workers, self._turns.sorted(list(together.values())))
        adopted = [record for change in plan.changes if change.action not in PENDING for record in self._settle(change)]
        # A quarantine begins with the first run that could have copied, whenever a saved plan says to have been made.
        now = format_timestamp(datetime.now(UTC), milliseconds=True)
        held = [(str(parse_reference(change.source).repository), change.source_digest or "", now) for change in plan.changes if change.action is Action.HOLD]
        self._remember(adopted, [], [change for change in plan.changes if change.action is Action.KEEP], held)

    def _submit_all(self, workers: Workers[Item, Done | None], groups: Sequence[Sequence[Change]]) -> None:
        self._doubt([change for changes in groups for change in changes])
        for changes in groups:
            self._submit(workers, changes)

    def _submit(self, workers: Workers[Item, Done | None], changes: Sequence[Change]) -> None:
        """Hand in the changes of one source tag."""
        # Imported now: a run that has nothing to copy needs none of the copy engine.
        from imgsync.apply.copy_change import Attempts, Item

        if self._attempts is None:
            self._attempts = Attempts(self._mirrors, self._inquiry, watcher=self._watcher, limits=self._limits)
        registries = frozenset(_registry_of(change) for change in changes)
        for change in changes:
            self._submitted[change.destination] = change
            workers.submit(Item(change, registries), queue=_registry_of(change), large=(change.size_bytes or 0) > _LARGE_BYTES)

    def _carry_out(self, item: Item) -> Done | None:
        assert self._attempts is not None  # noqa: S101 - made with the first item
        return self._attempts.carry_out(item)

    def _settle(self, change: Change) -> Iterator[Record]:
        """Note a change that asks for nothing; a kept tag without a fitting record is adopted: yield the record."""
        record = self._state.record(change.destination)
        self._outcomes[change.destination] = Outcome(
            change,
            _UNDONE[change.action],
            digest=change.destination_digest,
            crc32=(record.crc32 or None) if record is not None and record.digest == change.destination_digest else None,
            error=change.reason if change.action is Action.REFUSE else None,
        )
        if change.action is Action.KEEP:
            self._log.debug("image.kept", mirror=change.mirror, source=change.source, destination=change.destination, digest=change.destination_digest)
            found = adopted(change, record, self._mirrors[change.mirror], inquiry=self._inquiry)
            if found is not None:
                yield found
        elif change.action is Action.REFUSE:
            self._log.warning("image.refused", mirror=change.mirror, source=change.source, destination=change.destination, reason=change.reason)

    def _record(self, batch: Sequence[Done]) -> None:
        # Before the lines that say so: whoever reads a line may count on the record.
        self._remember(
            [done.record for done in batch if done.record is not None],
            [(parse_reference(done.outcome.change.destination).repository, done.seen) for done in batch if done.seen],
            [done.outcome.change for done in batch if done.record is not None],
        )
        for done in batch:
            self._outcomes[done.outcome.change.destination] = done.outcome
            _log_outcome(self._log, done.outcome)
            self._watcher.finished(done.outcome)

    def _delete(self, plan: Plan) -> None:
        """Delete what is to go, once all is copied; nothing of a mirror that is not all there."""
        # What was not even begun, for want of time, has no outcome.
        results = {destination: outcome.result for destination, outcome in self._outcomes.items()}
        waiting = {change.mirror for change in plan.copies if results.get(change.destination) not in {Result.COPIED, Result.REFUSED}}
        waiting.update(error.mirror for error in plan.errors)
        for change in plan.deletions:
            if change.mirror in waiting:
                self._outcomes[change.destination] = Outcome(change, Result.REMAINING, error="not deleted while images of this mirror are not as declared")
        changes = [change for change in plan.deletions if change.mirror not in waiting]
        if not changes or self._stop.is_closed:
            return
        from imgsync.apply.delete import removed

        self._doubt(changes)
        for outcome in removed(changes, self._destination):
            if outcome.result is Result.DELETED:
                self._forget(outcome.change)
            self._outcomes[outcome.change.destination] = outcome
            _log_outcome(self._log, outcome)
            self._watcher.finished(outcome)

    def _destination(self, change: Change) -> RegistryClient:
        return self._registries.destination(_registry_of(change), self._mirrors[change.mirror], check=self._stop.raise_if_requested)

    def _doubt(self, changes: Sequence[Change]) -> None:
        """
        Have the next run ask about what *changes* are to change, unless this one gets to say what came of it.

        A registry may do what it is asked and its answer be lost, or this run be killed before it has it. What was there before must not count then:
        the source may go back to it.
        """
        known = [record for change in changes if (record := self._state.record(change.destination)) is not None and record.is_sure]
        self._remember([record.doubted for record in known], [], [])

    def _forget(self, change: Change) -> None:
        try:
            self._state.remove([change.destination])
        except StateError as error:
            self._log.warning("state.degraded", reason=error.message)

    def _remember(
        self,
        records: Sequence[Record],
        seen: Sequence[tuple[Repository, Sequence[str]]],
        made: Sequence[Change],
        held: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        """Write at once what gathered; a state that cannot be written costs the next run requests, not this one its work."""
        if not (records or seen or made or held):
            return
        try:
            self._state.put(
                records,
                blobs=[(repository.registry, repository.path, digests) for repository, digests in seen],
                referrers=[one for change in made for one in referrers_seen(change, self._mirrors[change.mirror], inquiry=self._inquiry)],
                seen=held,
            )
        except StateError as error:
            self._log.warning("state.degraded", reason=error.message)


def _registry_of(change: Change) -> str:
    return change.destination.partition("/")[0]


def _log_outcome(log: Logger, outcome: Outcome) -> None:
    change = outcome.change
    fields = {"mirror": change.mirror, "source": change.source, "destination": change.destination}
    if outcome.result is Result.COPIED:
        counts = {name: getattr(outcome, name) for name in ("bytes_copied", "blobs_copied", "blobs_mounted", "blobs_present", "seconds", "attempts")}
        log.info("image.copied", **fields, digest=outcome.digest, crc32=outcome.crc32, **counts)
    elif outcome.result is Result.DELETED:
        log.info("image.deleted", **fields, digest=outcome.digest)
    elif outcome.result is Result.REFUSED:
        log.warning("image.refused", **fields, reason=outcome.error, hint=outcome.hint)
    elif outcome.result is Result.FAILED:
        log.error("image.failed", **fields, error=outcome.error, hint=outcome.hint, seconds=outcome.seconds, attempts=outcome.attempts)
