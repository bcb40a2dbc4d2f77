"""
Have the images of a plan copied by workers.

The coordinator alone owns plan, state and report. It keeps a window of batches out, takes each answer once, and sends again what is not answered. It
outlives restarts of the broker.
"""

from __future__ import annotations

import json
import secrets
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from imgsync.apply.batch import MESSAGE_BYTES, Answer, Batch, RefusedReason
from imgsync.apply.copy_change import FinishedChange
from imgsync.apply.options import Delivery
from imgsync.apply.record_combined import RecordMaker
from imgsync.apply.report import Outcome, Result, SharedCopies
from imgsync.config.model import Config
from imgsync.errors import StoppedError, UsageError
from imgsync.fleet.cut import Cutter
from imgsync.fleet.dispatch import Accepted, Dispatch, RefusedMessageError
from imgsync.fleet.link import BrokerLink, Message, OpenLink
from imgsync.fleet.make_batch import BatchMaker
from imgsync.fleet.repeats import Repeats
from imgsync.fleet.steady_link import SteadyLink
from imgsync.oci.spec.reference import Reference
from imgsync.plan.context import PlanContext
from imgsync.plan.model import Plan
from imgsync.plan.shards import Partition
from imgsync.system.dataclass import dataclass

_POLL_SECONDS = 0.25
_COUNT_SECONDS = 5.0
_ALONE_SECONDS = 10.0
# Where the state's disk is slower than the workers, what they finished would fill the memory.
_MOST_WAITING = 2048


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """The most batches out, and whether a failure ends the run."""

    window: int
    fail_fast: bool = False


@dataclass(frozen=True, slots=True)
class Codec:
    """How messages are written and read."""

    encode: Callable[[Batch], dict[str, Any]]
    decode: Callable[[Mapping[str, Any]], Answer]


class Coordinator:
    """Coordinates one run; has the interface `Fleet`."""

    def __init__(self, link: BrokerLink, config: Config, context: PlanContext, options: FleetOptions, *, codec: Codec, clean: Callable[[str], str]) -> None:
        """
        Prepare; connect to nothing yet.

        Args:
            link: Opens connections to the broker.
            config: The declarations that are applied.
            context: State, manifests, stop and log of the run.
            options: See there.
            codec: Writes batches and reads answers.
            clean: Hides secrets in a text.
        """
        self._line = SteadyLink(link, log=context.log, clean=clean)
        self._config = config
        self._context = context
        self._options = options
        self._codec = codec
        self._clean = clean
        self._log = context.log
        self._stop = context.stop
        self._window = options.window
        self._workers = 0
        self._counted_at = 0.0
        self._alone = Repeats(after_seconds=_ALONE_SECONDS)
        self._purged: int | None = None
        self._unconfirmed: dict[int, Batch] = {}
        self._dispatch: Dispatch | None = None
        self._records: RecordMaker | None = None
        # Hashes of the destinations, sorted: a set of a million references would need more memory than the rest of the plan.
        self._selected: Sequence[int] = ()
        # What workers of earlier runs pushed, as they say.
        self._late: dict[Reference, str | None] = {}

    def connect(self) -> None:
        """
        Return once the broker accepts a coordinator.

        Raises:
            UsageError: The broker refuses it, or another coordinator uses the queue.
            StoppedError: The run ended before.
        """
        if not self._line.check(is_over=lambda: self._stop.is_closed):
            raise StoppedError(f"stopped while waiting for {self._line.waits_for or 'the broker'}: {self._stop.reason}")

    def run(self, plan: Plan, mirrors: Collection[str], delivery: Delivery) -> None:
        """Have the copies for *mirrors* made; return when they ended."""
        self._selected = array("q", sorted(hash(str(change.destination)) for change in plan.copies if change.mirror in mirrors))
        self._dispatch = self._make_dispatch(plan, mirrors)
        self._records = RecordMaker(plan, self._config, self._context)
        self._line.serve(lambda link: self._serve(link, delivery), is_over=self._is_over)

    @property
    def shared(self) -> tuple[SharedCopies, ...]:
        """Return what workers moved apart from images."""
        return self._dispatch.sums.shared if self._dispatch is not None else ()

    @property
    def requests(self) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
        """Return the requests of all workers, by side, registry and method."""
        return self._dispatch.sums.requests if self._dispatch is not None else {}

    @property
    def throttled(self) -> Mapping[str, int]:
        """Return the rate-limit responses to all workers, by registry."""
        return self._dispatch.sums.throttled if self._dispatch is not None else {}

    @property
    def refused(self) -> Mapping[str, int]:
        """Return how many messages did nothing, by reason."""
        return self._dispatch.sums.refused if self._dispatch is not None else {}

    def _make_dispatch(self, plan: Plan, mirrors: Collection[str]) -> Dispatch:
        partition, run = Partition(plan, 1), secrets.token_hex(16)
        maker = BatchMaker(run, plan, self._config, self._context, filled=partition.filled)
        return Dispatch(Cutter(partition, mirrors), maker, run=run)

    def _is_over(self) -> bool:
        """Return whether nothing is left to send or to wait for."""
        dispatch = self._dispatch
        assert dispatch is not None  # noqa: S101 - set by `run`
        return dispatch.is_done or (self._stop.is_closed and not dispatch.out_count) or self._stop.is_cancelled

    def _serve(self, link: OpenLink, delivery: Delivery) -> bool:
        """Send and receive; return whether all is over."""
        dispatch = self._dispatch
        assert dispatch is not None  # noqa: S101 - set by `run`
        if dispatch.out_count == 0 and self._purged is None:
            # The batches of an earlier coordinator, which are not awaited.
            link.purge()
        self._counted_at = 0.0
        for batch in list(self._unconfirmed.values()):
            self._publish(link, batch)
        while not dispatch.is_done:
            if self._stop.is_closed and self._is_stopped(link, dispatch):
                return True
            self._count_workers(link, dispatch)
            if delivery.waiting_count < _MOST_WAITING:
                self._send(link, dispatch)
            message = link.wait(_POLL_SECONDS)
            if message is not None:
                for finished in self._receive(message, dispatch):
                    delivery.deliver(finished)
                message.acknowledge()
        return True

    def _is_stopped(self, link: OpenLink, dispatch: Dispatch) -> bool:
        """Return whether nothing runs any more, or no time is left."""
        purged = self._purge(link) if self._purged is None else self._purged
        return self._stop.is_cancelled or dispatch.out_count <= purged

    def _purge(self, link: OpenLink) -> int:
        """Remove the batches that wait; return how many were removed in all."""
        self._purged = (self._purged or 0) + link.purge()
        return self._purged

    def _count_workers(self, link: OpenLink, dispatch: Dispatch) -> None:
        now = time.monotonic()
        if now - self._counted_at < _COUNT_SECONDS:
            return
        self._counted_at = now
        self._workers, waiting = link.count_workers()
        if self._workers:
            self._alone.end()
        elif self._alone.is_due(now):
            self._log.warning("fleet.alone", broker=self._line.address, hint="start workers: imgsync worker --broker URL")
        if waiting and self._stop.is_closed:
            # A worker had begun them, and died since.
            self._purge(link)
        elif not self._stop.is_closed:
            self._repeat(link, dispatch.take_overdue(workers=self._workers, now=now, waiting=waiting), waiting=waiting)

    def _repeat(self, link: OpenLink, batches: Sequence[Batch], *, waiting: int) -> None:
        """Send *batches* again, in place of those that wait."""
        if batches and waiting:
            link.purge()
        for batch in batches:
            self._log.warning("batch.repeated", batch=batch.id, attempt=batch.attempt)
            self._publish(link, batch)

    def _send(self, link: OpenLink, dispatch: Dispatch) -> None:
        """Fill the window; two batches for each worker are enough."""
        limit = min(self._window, 2 * max(1, self._workers) + 2)
        while dispatch.out_count < limit and not self._stop.is_closed:
            batch = dispatch.take(workers=self._workers, now=time.monotonic())
            if batch is None:
                return
            self._publish(link, batch)

    def _publish(self, link: OpenLink, batch: Batch) -> None:
        """Publish *batch*; unless the broker confirms it, it is published again."""
        self._unconfirmed[batch.id] = batch
        link.publish(self._encode(batch))
        del self._unconfirmed[batch.id]

    def _encode(self, batch: Batch) -> bytes:
        data = _dump(self._codec.encode(batch))
        # Without its manifests, which a worker can read, it is far smaller.
        return data if len(data) <= MESSAGE_BYTES else _dump(self._codec.encode(replace(batch, manifests=())))

    def _receive(self, message: Message, dispatch: Dispatch) -> list[FinishedChange]:
        try:
            accepted = self._read(message, dispatch)
        except (UsageError, RefusedMessageError) as error:
            reason = error.reason if isinstance(error, RefusedMessageError) else RefusedReason.NOT_OURS
            dispatch.sums.refused[reason] += 1
            detail = error.message if isinstance(error, UsageError) else ""
            self._log.warning("message.refused", reason=reason.value, is_dead=message.is_dead, detail=self._clean(detail)[:200])
            return []
        if accepted.done is not None:
            self._adapt_window(accepted)
            self._note(accepted)
        if self._options.fail_fast and any(one.result is Result.FAILED for one in accepted.outcomes):
            self._stop.close("")
        return self._finish(accepted)

    def _read(self, message: Message, dispatch: Dispatch) -> Accepted:
        if len(message.body) > MESSAGE_BYTES:
            raise RefusedMessageError(RefusedReason.TOO_LARGE)
        if not message.is_signed:
            raise RefusedMessageError(RefusedReason.NOT_SIGNED)
        document = _parse(message.body)
        if message.is_dead:
            run, number = document.get("run"), document.get("id")
            if not isinstance(run, str) or not run.isascii() or type(number) is not int:
                raise RefusedMessageError(RefusedReason.NOT_OURS)
            return dispatch.accept_dead(run, number)
        answer = self._codec.decode(document)
        try:
            return dispatch.accept(answer)
        except RefusedMessageError as error:
            if error.reason is RefusedReason.OTHER_RUN:
                self._doubt(answer)
            raise

    def _doubt(self, answer: Answer) -> None:
        """Have the next run ask for tags that another run pushed."""
        # Its copy may have ended after this run's, of another digest.
        assert self._records is not None  # noqa: S101 - set by `run`
        writer = self._records.writer
        pushed = [one for one in answer.done.outcomes if one.result is Result.COPIED]
        writer.mark_unconfirmed(one.change for one in pushed if (known := writer.record(one.change)) is not None and known.digest != one.digest)
        self._late |= {one.change.destination: one.digest for one in pushed if self._is_selected(one.change.destination)}

    def _is_selected(self, destination: Reference) -> bool:
        place = hash(str(destination))
        number = bisect_left(self._selected, place)
        return number < len(self._selected) and self._selected[number] == place

    def _adapt_window(self, accepted: Accepted) -> None:
        assert accepted.done is not None  # noqa: S101 - checked by the caller
        throttled = any(accepted.done.done.throttled.values())
        self._window = max(1, self._window // 2) if throttled else min(self._options.window, self._window + 1)

    def _note(self, accepted: Accepted) -> None:
        answer = accepted.done
        assert answer is not None  # noqa: S101 - checked by the caller
        part, seconds = accepted.part, answer.done.seconds
        done = {"batch": answer.batch, "worker": answer.worker, "changes": part.image_count, "blobs": len(part.blobs), "seconds": seconds}
        if answer.refused:
            self._log.warning("batch.answered", **done, refused=answer.refused)
        else:
            self._log.info("batch.answered", **done, refused="")
        if self._records is not None and not accepted.outcomes:
            # Shared blobs are of no image. Others are recorded with their images.
            self._records.writer.write_found(accepted.blobs)

    def _finish(self, accepted: Accepted) -> list[FinishedChange]:
        """Return the outcomes with records, and blobs once per repository."""
        assert self._records is not None  # noqa: S101 - set by `run`
        records = accepted.done.done.records if accepted.done is not None else {}
        now = datetime.now(UTC)
        blobs = {one.repository: one for one in accepted.blobs}
        finished = []
        for outcome in accepted.outcomes:
            known = blobs.pop(str(outcome.change.destination.repository), None)
            record = self._records.make(outcome, records, now=now)
            if record is not None and self._late.get(outcome.change.destination, record.digest) != record.digest:
                record = record.tainted
            shown = _clean_outcome(outcome, self._clean)
            finished.append(FinishedChange(shown, record, {}, known.found if known is not None else {}, known.missing if known is not None else ()))
        return finished


def _clean_outcome(outcome: Outcome, clean: Callable[[str], str]) -> Outcome:
    if outcome.error is None and not outcome.hint:
        return outcome
    return replace(outcome, error=None if outcome.error is None else clean(outcome.error), hint=clean(outcome.hint))


def _dump(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _parse(body: bytes) -> dict[str, object]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedMessageError(RefusedReason.NOT_OURS) from error
    if not isinstance(document, dict):
        raise RefusedMessageError(RefusedReason.NOT_OURS)
    return document
