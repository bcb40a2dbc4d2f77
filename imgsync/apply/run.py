"""
Apply a configuration: plan it, copy, delete, and report the results.

Workers return values; the state and the log line of each image are written from here alone.
Spec: exit-codes.md, documents.md and logs.md in docs/reference/.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imgsync.apply.gone import list_gone
from imgsync.apply.listener import ProgressListener
from imgsync.apply.log_outcome import log_outcome, log_unchanged
from imgsync.apply.options import RunOptions
from imgsync.apply.order import ChangeOrder, Group, group_by_source
from imgsync.apply.packed_outcomes import OutcomesByDestination, pack_outcomes
from imgsync.apply.report import KeptOutcomes, Outcome, Report, Result, make_unchanged_outcome
from imgsync.apply.state_writer import StateWriter
from imgsync.apply.submit_change import LARGE_BYTES_AT_ONCE, submit_change
from imgsync.apply.tag_owner import TagOwners
from imgsync.apply.unchanged_tags import UnchangedTags
from imgsync.concurrency.greenlets import Semaphore, spawn_later
from imgsync.concurrency.workers import Workers, map_unordered
from imgsync.config.model import Config
from imgsync.errors import ImgsyncError, StoppedError
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.reference import Reference
from imgsync.plan.build import build_plan
from imgsync.plan.context import PlanContext
from imgsync.plan.log_plan import log_plan
from imgsync.plan.model import Change, Plan, PlanError
from imgsync.plan.ready import OnPending
from imgsync.text.units import format_timestamp

if TYPE_CHECKING:
    from imgsync.apply.copy_change import ChangeRunner, ChangeTask, FinishedChange
    from imgsync.apply.shard_part import ShardPart

# Shared blobs copied at once: mostly large ones, so as many as those of four large images.
_MOST_BLOBS = 16


def apply_config(config: Config, context: PlanContext, *, options: RunOptions, listener: ProgressListener, saved: Plan | None = None) -> Report:
    """
    Plan *config*, or take the *saved* plan, and carry it out.

    Copying begins while the plan is made. With safety limits or `approve`, nothing begins before the whole plan is known and passes them.
    One failure does not stop the other images, unless the options say so. A change that a stop prevented is "remaining".

    Raises:
        NotApprovedError: The user did not approve the plan; nothing was done.
        UnsafePlanError: The plan exceeds the safety limits; nothing was done.
        ImgsyncError: The plan cannot be made, and no copy had begun.
    """
    return _Run(config, context, options=options, listener=listener, saved=saved).run()


class _Run:
    def __init__(self, config: Config, context: PlanContext, *, options: RunOptions, listener: ProgressListener, saved: Plan | None) -> None:
        self._config = config
        self._context = context
        self._options = options
        self._listener = listener
        self._saved = saved
        self._mirrors = {mirror.name: mirror for mirror in config.mirrors}
        self._log = context.log
        self._stop = context.stop
        self._owners = TagOwners(config)
        self._state = StateWriter(self._mirrors, self._owners, context)
        self._order = ChangeOrder(context.state.remaining)
        self._began = time.monotonic()
        self._workers: Workers[ChangeTask, FinishedChange | None] = Workers(self._run_change, limit=1, max_weight=LARGE_BYTES_AT_ONCE, stop=self._stop)
        self._runner: ChangeRunner | None = None
        self._making_runner = Semaphore()
        self._plan: Plan | None = None
        self._planning_error: ImgsyncError | None = None
        self._submitted: dict[Reference, Change] = {}
        self._outcomes = OutcomesByDestination()
        self._kept: list[KeptOutcomes] = []

    def run(self) -> Report:
        self._limit_time()
        self._workers.produce(self._plan_and_submit)
        for batch in self._workers.batches():
            self._finish([finished for finished in batch if finished is not None])
        plan = self._plan or self._unfinished_plan()
        self._delete(plan)
        return Report(
            plan_id=plan.id,
            outcomes=pack_outcomes(plan.changes, (self._outcomes.find(change) or Outcome(change, Result.REMAINING) for change in plan.changes)),
            errors=plan.errors,
            seconds=round(time.monotonic() - self._began, 3),
            stopped=self._stop.reason,
            notes=(*plan.notes, *(f"{destination} is back at the source" for destination in plan.returned)),
            gone=tuple(list_gone(plan, self._context.state.gone_since)),
            created_at=format_timestamp(datetime.now(UTC)),
            kept=tuple(self._kept),
        )

    def _limit_time(self) -> None:
        """Schedule the end of the run."""
        limits = self._options.time_limits
        whole = limits.whole_seconds([mirror.timeouts.run_seconds for mirror in self._mirrors.values() if not mirror.suspend])
        if whole is None:
            return
        closes, cancels = limits.close_seconds(whole), limits.cancel_seconds(whole)
        # If planning takes half of the time, start with the changes known so far: else no run would ever get to copy.
        spawn_later(max(0.0, closes / 2 - limits.elapsed_seconds), lambda: self._workers.produce(self._submit_held))
        spawn_later(max(0.0, closes - limits.elapsed_seconds), lambda: self._stop.close("the run's time is up", grace_seconds=cancels - closes))

    def _plan_and_submit(self) -> None:
        if self._options.fleet is not None:
            # Planning takes time, and pulls that are counted.
            self._options.fleet.connect()
        early = None if self._options.needs_whole_plan else self._submit_early
        try:
            plan = self._make_plan(early)
        except ImgsyncError as error:
            if not self._submitted:
                raise
            # What began is finished and reported, with the error.
            self._planning_error = error
            return
        log_plan(plan, self._log)
        self._listener.on_plan(plan)
        self._options.safety_limits.raise_if_unsafe(plan)
        if self._options.approve is not None and plan.pending:
            self._options.approve(plan)
        self._plan = plan
        if self._options.shard is not None and self._options.shard.blobs:
            self._copy_shared(self._options.shard)
        remote = self._list_remote()
        self._submit_rest(plan, remote)
        self._note_unchanged(plan)
        if self._options.fleet is not None and any(change.mirror in remote for change in plan.copies):
            self._state.begin_copies()
            self._state.mark_unconfirmed(change for change in plan.copies if change.mirror in remote)
            self._options.fleet.run(plan, remote, self._workers)

    def _list_remote(self) -> Collection[str]:
        """Return the mirrors for other machines, which cannot check a minimum age."""
        if self._options.fleet is None:
            return ()
        return frozenset(name for name, mirror in self._mirrors.items() if mirror.tags.min_age_seconds is None)

    def _make_plan(self, on_pending: OnPending | None) -> Plan:
        if self._saved is None:
            return build_plan(self._config, self._context, on_pending=on_pending, keeps_content=self._options.fleet is not None)
        # Imported now: most runs have no saved plan.
        from imgsync.plan.resume import keep_applied
        from imgsync.plan.saved import update_saved_plan

        saved = self._saved if self._options.shard is None else keep_applied(self._saved, self._config, self._context)
        return update_saved_plan(saved, self._config, self._context, on_pending=on_pending)

    def _copy_shared(self, part: ShardPart) -> None:
        """Copy the shared blobs of a shard, before its images."""
        runner = self._find_runner()
        mirrors = self._mirrors.values()
        limit = max(mirror.concurrency.images * mirror.concurrency.blobs for mirror in mirrors)
        for finished in map_unordered(runner.run_blob, part.blobs, limit=min(limit, _MOST_BLOBS)):
            if finished is not None:
                part.on_blob(finished)

    def _unfinished_plan(self) -> Plan:
        """Return what is known of a plan that was not finished."""
        error = self._planning_error
        if error is None:
            error = StoppedError(f"stopped while planning: {self._stop.reason}", hint="run again for the rest")
        later = isinstance(error, StoppedError)
        mirrors = [mirror for mirror in self._mirrors.values() if not mirror.suspend]
        errors = (PlanError(mirror.name, mirror.source.registry, error.message, error.advice, later=later) for mirror in mirrors)
        return Plan(tuple(self._submitted.values()), errors=tuple(errors))

    def _submit_early(self, changes: Group) -> None:
        self._submit(self._order.add(changes))

    def _submit_held(self) -> None:
        self._submit(self._order.release())

    def _submit_rest(self, plan: Plan, remote: Collection[str]) -> None:
        """Submit what was not submitted early, and is not of *remote* mirrors."""
        rest = group_by_source(change for change in plan.copies if change.mirror not in remote and change.destination not in self._submitted)
        # The groups still held are among these.
        self._order.release()
        self._submit(self._order.sort(rest))
        # The plan has them all, packed.
        self._submitted.clear()

    def _submit(self, groups: Sequence[Group]) -> None:
        # At once: while the state is written, the plan may be finished and the rest submitted.
        self._submitted.update((change.destination, change) for group in groups for change in group)
        self._state.mark_unconfirmed(change for group in groups for change in group)
        for group in groups:
            self._submit_group(group)

    def _submit_group(self, group: Group) -> None:
        # Imported now: a run without changes does not need the copy engine.
        from imgsync.apply.copy_change import ChangeTask

        self._find_runner()
        registries = frozenset(_registry(change) for change in group)
        for change in group:
            submit_change(self._workers, ChangeTask(change, registries), self._mirrors[change.mirror])

    def _find_runner(self) -> ChangeRunner:
        """Return the runner of this run, made when it is first needed."""
        # Imported now: a run without changes does not need the copy engine.
        from imgsync.apply.copy_change import ChangeRunner

        # Others wait meanwhile: a second runner would not know what this one copies.
        with self._making_runner:
            if self._runner is None:
                self._state.begin_copies()
                self._runner = ChangeRunner(
                    self._mirrors, self._owners, self._context, options=self._options, listener=self._listener, known_blobs=self._options.known_blobs
                )
            return self._runner

    def _run_change(self, task: ChangeTask) -> FinishedChange | None:
        assert self._runner is not None  # noqa: S101 - made with the first task
        return self._runner.run(task)

    def _note_unchanged(self, plan: Plan) -> None:
        """Settle the kept, held and refused tags."""
        found = self._state.begin_unchanged()
        for change in plan.unchanged:
            self._outcomes.add(self._note_unchanged_tag(change, found))
        for kept in plan.kept:
            outcomes = KeptOutcomes(kept)
            for change in kept:
                outcomes.add(self._note_unchanged_tag(change, found))
                if found.is_full:
                    self._state.write_unchanged(found)
            self._kept.append(outcomes)
        self._state.write_unchanged(found)
        self._state.write_gone(plan, found.now)

    def _note_unchanged_tag(self, change: Change, found: UnchangedTags) -> Outcome:
        record = self._state.record(change)
        crc32 = (record.crc32 or None) if record is not None and record.digest == change.destination_digest else None
        outcome = make_unchanged_outcome(change, crc32)
        log_unchanged(outcome, self._log)
        found.add(change, record)
        return outcome

    def _finish(self, batch: Sequence[FinishedChange]) -> None:
        # The state first: a log line promises that the record is there.
        self._state.write_copies(batch)
        if self._options.shard is not None:
            self._options.shard.on_changes(batch)
        for finished in batch:
            self._announce(finished.outcome)

    def _delete(self, plan: Plan) -> None:
        """Delete pruned tags, except of unfinished mirrors."""
        incomplete = self._incomplete_mirrors(plan) if plan.deletions else set()
        ready: list[Change] = []
        for change in plan.deletions:
            if change.mirror in incomplete:
                reason = "not deleted: other images of this mirror are not as declared yet"
                self._outcomes.add(Outcome(change, Result.REMAINING, error=reason))
            else:
                ready.append(change)
        if ready and not self._stop.is_closed:
            self._delete_all(ready)

    def _delete_all(self, changes: Sequence[Change]) -> None:
        # Imported now: few runs delete.
        from imgsync.apply.delete import delete_tags

        self._state.mark_unconfirmed(changes)
        for outcome in delete_tags(changes, self._make_client):
            if outcome.result is Result.DELETED:
                self._state.remove(outcome.change)
            self._announce(outcome)

    def _incomplete_mirrors(self, plan: Plan) -> set[str]:
        """Return the mirrors with an error or an unfinished image."""
        # An image that was not started, for lack of time, has no outcome.
        outcomes = ((change.mirror, self._outcomes.find(change)) for change in plan.copies)
        incomplete = {mirror for mirror, outcome in outcomes if outcome is None or outcome.result not in {Result.COPIED, Result.REFUSED}}
        return incomplete | {error.mirror for error in plan.errors}

    def _announce(self, outcome: Outcome) -> None:
        self._outcomes.add(outcome)
        log_outcome(outcome, self._log)
        self._listener.on_finish(outcome)

    def _make_client(self, change: Change) -> ImageStore:
        return self._context.registries.make_destination_client(_registry(change), self._mirrors[change.mirror], check=self._stop.raise_if_requested)


def _registry(change: Change) -> str:
    return change.destination.repository.registry
