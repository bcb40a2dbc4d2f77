"""
Carry out one batch on a worker.

The engine is that of `apply`. A runner lasts for one run of the coordinator: it remembers which blobs it has seen, so that later batches ask for fewer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import imgsync
from imgsync.apply.batch import WHOLE, Answer, Batch, BatchKind
from imgsync.apply.collector import Collector
from imgsync.apply.copy_change import ChangeRunner, ChangeTask, FinishedChange, make_known_blobs
from imgsync.apply.copy_shared import list_blob_errors, sum_shared
from imgsync.apply.options import RunOptions
from imgsync.apply.order import group_by_source
from imgsync.apply.report import Outcome, Result
from imgsync.apply.shard_outcome import ShardOutcome
from imgsync.apply.shard_part import ShardPart
from imgsync.apply.state_writer import StateWriter
from imgsync.apply.submit_change import LARGE_BYTES_AT_ONCE, submit_change
from imgsync.apply.tag_owner import TagOwners
from imgsync.apply.time_limits import TimeLimits
from imgsync.concurrency.greenlets import spawn_later
from imgsync.concurrency.stop import Stop
from imgsync.concurrency.workers import Workers, map_unordered
from imgsync.config.model import Config
from imgsync.errors import ImgsyncError
from imgsync.filters.globs import compile_glob
from imgsync.fleet.check_batch import check_batch
from imgsync.fleet.quiet import QuietListener
from imgsync.oci.spec.reference import Repository, parse_repository
from imgsync.plan.content import SharedBlob
from imgsync.plan.context import PlanContext
from imgsync.plan.model import Action, Change, Plan, get_pushed_digest
from imgsync.plan.refusal import IMMUTABLE
from imgsync.plan.resume import keep_applied
from imgsync.plan.safety import SafetyLimits
from imgsync.plan.shards import BlobHome
from imgsync.text.units import format_timestamp
from imgsync.transfer import SharedBlobs

_GRACE_SECONDS = 30.0
_MOST_BLOBS = 32
_TIME_IS_UP = "the batch's time is up"


class BatchRunner:
    """Carries out the batches of one run, one after the other."""

    def __init__(self, config: Config, context: PlanContext, *, worker: str, throttles: Mapping[str, int]) -> None:
        """
        Copy what *config* declares.

        Args:
            config: The declarations and settings of this machine.
            context: A context with an empty state.
            worker: The name of this worker.
            throttles: Counts rate-limit responses by registry.
        """
        self.config = config
        self.mirrors = {mirror.name: mirror for mirror in config.mirrors}
        self._owners = TagOwners(config)
        self._context = context
        self._worker = worker
        self._throttles = throttles
        self._known = make_known_blobs(context.state)
        self._counted: dict[str, dict[str, Counter[str]]] = {"source": {}, "destination": {}}
        self._throttled: Counter[str] = Counter()

    def run(self, batch: Batch, *, stop: Stop, is_repeated: bool) -> Answer:
        """
        Carry out *batch* and return what it came to.

        Args:
            batch: What to copy.
            stop: Ends the batch early; what is left is answered as remaining.
            is_repeated: Whether another worker may have done a part of it.
        """
        began = time.monotonic()
        try:
            check_batch(batch, self.config, now=datetime.now(UTC))
        except ImgsyncError as error:
            return refuse_batch(batch, error, worker=self._worker)
        self._learn(batch)
        work = _Work(self, batch, replace(self._context, stop=stop), began=began, is_repeated=is_repeated)
        outcomes = work.copy()
        return Answer(batch.run, batch.id, self._worker, self._sum_up(batch, work, outcomes, seconds=round(time.monotonic() - began, 3)))

    def _learn(self, batch: Batch) -> None:
        """Take over manifests, referrers' tags and homes."""
        for manifest in batch.manifests:
            for repository in {change.source.repository for change in batch.changes}:
                self._context.manifests.add(manifest, repository)
        for name, tags in batch.referrer_tags.items():
            # What they name is read at the source.
            self._context.referrers.tags.learn(parse_repository(name), ((tag, "") for tag in tags))
        # Without a source: that this image's source has the blob, this worker finds out before it mounts it.
        StateWriter(self.mirrors, self._owners, self._context).write_found(batch.homes)

    def _sum_up(self, batch: Batch, work: _Work, outcomes: Sequence[Outcome], *, seconds: float) -> ShardOutcome:
        collector = work.collector
        stop = work.context.stop
        failed = list_blob_errors(collector.finished_blobs) if batch.kind is BatchKind.BLOBS else ()
        throttled = Counter(self._throttles) - self._throttled
        self._throttled.update(throttled)
        return ShardOutcome(
            plan_id=batch.plan_id,
            partition=batch.run,
            shard=WHOLE,
            version=imgsync.__version__,
            created_at=format_timestamp(datetime.now(UTC)),
            exit_code=75 if any(one.result is Result.REMAINING for one in outcomes) else 0,
            stopped=stop.reason,
            seconds=seconds,
            outcomes=tuple(outcomes),
            records=collector.records,
            shared=sum_shared(collector.finished_blobs),
            blobs=collector.blobs,
            traffic=collector.list_traffic(self._count_requests),
            throttled=dict(throttled),
            errors=failed,
        )

    def _count_requests(self, side: str) -> Mapping[str, Mapping[str, int]]:
        """Return the requests since the last batch, by registry and method."""
        total = {registry: Counter(methods) for registry, methods in self._context.registries.count_requests(side).items()}
        new = {registry: methods - self._counted[side].get(registry, Counter()) for registry, methods in total.items()}
        self._counted[side] = total
        return {registry: methods for registry, methods in new.items() if methods}

    def make_change_runner(self, context: PlanContext, options: RunOptions) -> ChangeRunner:
        """Return what copies the images of one batch."""
        return ChangeRunner(self.mirrors, self._owners, context, options=options, listener=QuietListener(), known_blobs=self._known)


class _Work:
    """The work of one batch."""

    def __init__(self, owner: BatchRunner, batch: Batch, context: PlanContext, *, began: float, is_repeated: bool) -> None:
        self.collector = Collector()
        self.context = context
        self._batch = batch
        self._is_repeated = is_repeated
        self._config = owner.config
        self._mirrors = owner.mirrors
        limits = TimeLimits(began, run_seconds=batch.budget_seconds, grace_seconds=_GRACE_SECONDS)
        part = ShardPart(WHOLE, self._list_blobs(), self._list_homes(), self._list_filled(), self.collector.add_changes, self.collector.add_blob)
        self._runner = owner.make_change_runner(context, RunOptions(limits, SafetyLimits(), shard=part))
        self._part = part
        self._limits = limits

    def copy(self) -> list[Outcome]:
        """Copy blobs or images; return an outcome for each change."""
        whole = self._batch.budget_seconds
        closes, cancels = self._limits.close_seconds(whole), self._limits.cancel_seconds(whole)
        stop = self.context.stop
        spawn_later(max(0.0, closes - self._limits.elapsed_seconds), lambda: stop.close(_TIME_IS_UP, grace_seconds=cancels - closes))
        if self._batch.kind is BatchKind.BLOBS:
            self._copy_blobs()
            return []
        return self._copy_images()

    def _copy_blobs(self) -> None:
        limit = max(mirror.concurrency.images * mirror.concurrency.blobs for mirror in self._mirrors.values())
        for finished in map_unordered(self._runner.run_blob, self._part.blobs, limit=min(limit, _MOST_BLOBS)):
            if finished is not None:
                self.collector.add_blob(finished)

    def _copy_images(self) -> list[Outcome]:
        plan = Plan(self._batch.changes, known_id=self._batch.plan_id)
        if self._is_repeated:
            plan = keep_applied(plan, self._config, self.context)
        limit = max(mirror.concurrency.queries for mirror in self._mirrors.values())
        settled = {outcome.change.destination: outcome for outcome in map_unordered(self._settle, plan.changes, limit=limit) if outcome is not None}
        workers: Workers[ChangeTask, FinishedChange | None] = Workers(self._runner.run, limit=1, max_weight=LARGE_BYTES_AT_ONCE, stop=self.context.stop)
        for group in group_by_source(change for change in plan.copies if change.destination not in settled):
            registries = frozenset(change.destination.repository.registry for change in group)
            for change in group:
                submit_change(workers, ChangeTask(change, registries), self._mirrors[change.mirror])
        for batch in workers.batches():
            self.collector.add_changes([finished for finished in batch if finished is not None])
        done = {outcome.change.destination: outcome for outcome in self.collector.outcomes} | settled
        return [done.get(change.destination) or Outcome(change, Result.REMAINING) for change in self._batch.changes]

    def _settle(self, change: Change) -> Outcome | None:
        """Return the outcome of a change that is not to be copied."""
        if change.action is Action.KEEP:
            return Outcome(change, Result.KEPT, digest=change.destination_digest)
        mirror = self._mirrors[change.mirror]
        if not any(compile_glob(text).fullmatch(change.source.tag) for text in mirror.immutable):
            return None
        # Only the state of the coordinator knows whether the tag was mirrored before, and a message is not believed.
        client = self.context.registries.make_destination_client(change.destination.repository.registry, mirror, check=self.context.stop.raise_if_requested)
        try:
            served = client.resolve(change.destination)
        except ImgsyncError:
            # The copy reports it.
            return None
        if served is None or served.digest == get_pushed_digest(change):
            return None
        return Outcome(change, Result.REFUSED, digest=served.digest, error=f"{IMMUTABLE}: the destination serves {served.digest}")

    def _list_blobs(self) -> tuple[BlobHome, ...]:
        changes = self._batch.changes
        return tuple(BlobHome(SharedBlob(one.digest, one.size_bytes, (one.change,)), changes[one.change]) for one in self._batch.blobs)

    def _list_homes(self) -> SharedBlobs:
        homes = {one.place: one.repository.path for one in self._list_blobs()}
        # A new repository has nothing that would have to be asked for.
        return SharedBlobs(homes=homes, own=frozenset(homes), asks=self._is_repeated or bool(self._batch.filled))

    def _list_filled(self) -> frozenset[Repository]:
        return frozenset(map(parse_repository, self._batch.filled))


def refuse_batch(batch: Batch, error: ImgsyncError, *, worker: str) -> Answer:
    """Return the answer to a *batch* of which nothing is done."""
    done = ShardOutcome(batch.plan_id, batch.run, WHOLE, imgsync.__version__, format_timestamp(datetime.now(UTC)), error.exit_code)
    return Answer(batch.run, batch.id, worker, done, refused="; ".join(filter(None, (error.message, error.hint))))
