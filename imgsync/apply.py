"""
Make a plan true: run its changes, remember what was pushed, tell what came of each.

Workers return, this module writes: only it touches the state and emits the line of each image.
Spec: design.md §3 exit codes, §4 report, §5 logs, §6 state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from imgsync.concurrency import Deadline, Stop, Workers, spawn_later
from imgsync.config.model import Config, Mirror
from imgsync.errors import BudgetSpentError, ImgsyncError, ImmutableTagError, StateError, StoppedError
from imgsync.events import Log
from imgsync.oci.manifest import Descriptor, parse_platform
from imgsync.oci.reference import Reference, Repository, parse_reference
from imgsync.plan.ahead import OnPending
from imgsync.plan.model import PENDING, Action, Change, Plan
from imgsync.registries import Registries
from imgsync.report import Outcome, Report
from imgsync.state import Record, StateStore
from imgsync.transfer import BlobMemory, Copied, Copier, Job, Progress

# Images so large that they leave a place free for smaller ones.
_LARGE_BYTES = 64 << 20
_UNDONE = {Action.KEEP: "kept", Action.HOLD: "held", Action.REFUSE: "refused"}


class Watcher(Protocol):
    """Whoever shows progress."""

    def watch(self, plan: Plan) -> None:
        """This is all there is to do; some of it may be done already."""

    def started(self, change: Change) -> None:
        """One image begins."""

    def advanced(self, change: Change, size_bytes: int) -> None:
        """Bytes of one image moved; negative when a try began anew."""

    def finished(self, outcome: Outcome) -> None:
        """One image ended."""

    def paused(self) -> AbstractContextManager[None]:
        """Show nothing within the block: something else is printed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a run: seconds since it *began*, planning included (None: the mirrors' own), of grace after a stop; end at the first failure."""

    began: float

    run_seconds: float | None = None
    grace_seconds: float = 5.0
    fail_fast: bool = False


# Makes the plan, telling of the pending changes of each source tag as soon as they are certain.
Planning = Callable[[OnPending], Plan]


def apply_as_planned(
    planning: Planning, config: Config, registries: Registries, state: StateStore, *, log: Log, watcher: Watcher, stop: Stop, limits: Limits
) -> Report:
    """
    Return what came of every change of the plan that *planning* makes, carried out while it is being made.

    One image's failure never stops the others unless limits say so. A stop lets nothing new begin and gives what runs its grace; what
    was not done is "remaining".

    Raises:
        ImgsyncError: The plan cannot be made; what had begun was brought to its end.
    """
    return _Run(config, registries, state, log=log, watcher=watcher, stop=stop, limits=limits).report(planning)


@dataclass(frozen=True, slots=True)
class _Item:
    """A change to carry out, and the registries that get the same image at the same time."""

    change: Change
    registries: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of one change, what is to be remembered of it, and which blobs and manifests its destination was seen to hold."""

    outcome: Outcome
    record: Record | None
    seen: Sequence[str]


class _Run:
    def __init__(self, config: Config, registries: Registries, state: StateStore, *, log: Log, watcher: Watcher, stop: Stop, limits: Limits) -> None:
        self._mirrors = {mirror.name: mirror for mirror in config.mirrors}
        self._registries = registries
        self._state = state
        self._log = log
        self._watcher = watcher
        self._stop = stop
        self._limits = limits
        self._began = time.monotonic()
        self._copier = Copier(BlobMemory(state.blob_repositories), registries.manifests, registries.referrers, make_repository=registries.make_repository)
        self._plan = Plan(())
        self._submitted: set[str] = set()
        self._outcomes: dict[str, Outcome] = {}

    def report(self, planning: Planning) -> Report:
        at_once = max((mirror.concurrency.images for mirror in self._mirrors.values()), default=1)
        workers: Workers[_Item, _Done | None] = Workers(self._attempt, limit=at_once, stop=self._stop)
        if self._limits.run_seconds is not None:
            spawn_later(max(0.0, self._limits.run_seconds - self._run_seconds()), self._time_is_up)
        workers.produce(lambda: self._make_plan(planning, workers))
        for batch in workers.batches():
            self._record([done for done in batch if done is not None])
        outcomes = tuple(self._outcomes.get(change.destination) or Outcome(change, "remaining") for change in self._plan.changes)
        return Report(self._plan.id, outcomes, self._plan.errors, round(time.monotonic() - self._began, 3), self._stop.reason)

    def _make_plan(self, planning: Planning, workers: Workers[_Item, _Done | None]) -> None:
        self._plan = planning(lambda changes: self._submit(workers, changes))
        self._watcher.watch(self._plan)
        together: dict[tuple[str, str, str | None], list[Change]] = {}
        for change in self._plan.pending:
            if change.destination not in self._submitted:
                together.setdefault((change.mirror, change.source, change.source_digest), []).append(change)
        for changes in together.values():
            self._submit(workers, changes)
        adopted = [record for change in self._plan.changes if change.action not in PENDING for record in self._settle(change)]
        self._remember(adopted, [], [change for change in self._plan.changes if change.action is Action.KEEP])

    def _submit(self, workers: Workers[_Item, _Done | None], changes: Sequence[Change]) -> None:
        """Hand in the changes of one source tag."""
        registries = frozenset(_registry_of(change) for change in changes)
        for change in changes:
            self._submitted.add(change.destination)
            workers.submit(_Item(change, registries), queue=_registry_of(change), large=(change.size_bytes or 0) > _LARGE_BYTES)

    def _has_time(self, mirror: Mirror) -> bool:
        """Return whether *mirror* may still start an image."""
        limit = mirror.timeouts.run_seconds
        if self._limits.run_seconds is None and limit is not None and self._run_seconds() > limit:
            self._stop.reason = self._stop.reason or "timeouts.run is reached"
            return False
        return True

    def _run_seconds(self) -> float:
        return time.monotonic() - self._limits.began

    def _time_is_up(self) -> None:
        self._stop.expire("the run's time is up", grace_seconds=self._limits.grace_seconds)

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
            yield from self._adopted(change, record)
        elif change.action is Action.REFUSE:
            self._log.warning("image.refused", mirror=change.mirror, source=change.source, destination=change.destination, reason=change.reason)

    def _adopted(self, change: Change, record: Record | None) -> Iterator[Record]:
        selection = self._mirrors[change.mirror].selection
        if change.destination_digest is None or change.source_digest is None:
            return
        known = record if record is not None and record.digest == change.destination_digest else None
        read = self._registries.manifests.get(change.destination_digest)
        crc32 = read.crc32 if read is not None else known.crc32 if known is not None else ""
        if known is not None and (known.source_digest, known.selection, known.crc32) == (change.source_digest, selection, crc32):
            return
        yield Record(
            destination=change.destination,
            digest=change.destination_digest,
            crc32=crc32,
            size_bytes=change.size_bytes or 0,
            media_type=change.media_type or "",
            source=change.source,
            source_digest=change.source_digest,
            selection=selection,
            applied_at=_now(),
        )

    def _attempt(self, item: _Item) -> _Done | None:
        """Copy one image, None when there is no time left to begin; the one place where an error becomes an outcome."""
        change = item.change
        mirror = self._mirrors[change.mirror]
        if not self._has_time(mirror):
            return None
        deadline = Deadline(mirror.timeouts.image_seconds, stop=self._stop, what=change.source)
        progress = Progress()
        began = time.monotonic()
        self._watcher.started(change)
        try:
            copied = self._copy(item, mirror, deadline, progress)
        except ImgsyncError as error:
            cut = isinstance(error, BudgetSpentError) or (isinstance(error, StoppedError) and self._stop.closed)
            if isinstance(error, BudgetSpentError):
                # This registry's rest is for the next run; the others go on.
                self._stop.reason = self._stop.reason or error.message
            result = "remaining" if cut else "refused" if isinstance(error, ImmutableTagError) else "failed"
            if self._limits.fail_fast and result == "failed":
                # Without a reason of its own: the report says what failed, and running again would fail again.
                self._stop.expire("")
            return _Done(_outcome(change, result, progress, began, error=error), None, progress.seen)
        return _Done(_outcome(change, "copied", progress, began, copied=copied), _record_of(change, mirror, copied), progress.seen)

    def _copy(self, item: _Item, mirror: Mirror, deadline: Deadline, progress: Progress) -> Copied:
        change = item.change
        source, destination = parse_reference(change.source), parse_reference(change.destination)
        job = Job(
            source=Reference(source.repository, digest=change.source_digest or ""),
            destination=destination,
            platforms=None if mirror.platforms is None else tuple(parse_platform(text) for text in mirror.platforms),
            blobs_at_once=mirror.concurrency.blobs,
            referrers=mirror.referrers,
            served=change.destination_digest,
            registries=item.registries,
        )
        return self._copier.copy_image(
            job,
            source=self._registries.source(mirror, check=deadline.check),
            destination=self._registries.destination(destination.repository.registry, mirror, check=deadline.check),
            deadline=deadline,
            progress=progress,
            observer=_Observer(change, self._watcher, self._log),
        )

    def _record(self, batch: Sequence[_Done]) -> None:
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

    def _remember(self, records: Sequence[Record], seen: Sequence[tuple[Repository, Sequence[str]]], made: Sequence[Change]) -> None:
        """Write at once what gathered; a state that cannot be written costs the next run requests, not this one its work."""
        if not (records or seen or made):
            return
        try:
            self._state.put(
                records,
                blobs=[(repository.registry, repository.path, digests) for repository, digests in seen],
                referrers=[one for change in made for one in self._referrers_of(change)],
            )
        except StateError as error:
            self._log.warning("state.degraded", reason=error.message)

    def _referrers_of(self, change: Change) -> Iterator[tuple[str, str, str]]:
        """Yield which tags of referrers the source had, so that a signature made later is seen in its listing."""
        source, destination = parse_reference(change.source), parse_reference(change.destination)
        summary = self._registries.referrers.summary(source.repository, change.source_digest or "")
        if summary is not None and self._mirrors[change.mirror].referrers is not False:
            yield str(destination.repository), change.source_digest or "", summary


@dataclass(frozen=True, slots=True)
class _Observer:
    """Tells the watcher of each byte and the log, for who debugs, of each blob."""

    change: Change
    watcher: Watcher
    log: Log

    def advanced(self, size_bytes: int) -> None:
        self.watcher.advanced(self.change, size_bytes)

    def delivered(self, how: str, blob: Descriptor, *, mounted_from: str = "") -> None:
        more = {"mounted_from": mounted_from} if mounted_from else {}
        self.log.debug(f"blob.{how}", mirror=self.change.mirror, destination=self.change.destination, digest=blob.digest, size_bytes=blob.size_bytes, **more)

    def warned(self, reason: str) -> None:
        self.log.warning("referrers.incomplete", mirror=self.change.mirror, destination=self.change.destination, reason=reason)


def _registry_of(change: Change) -> str:
    return change.destination.partition("/")[0]


def _outcome(change: Change, result: str, progress: Progress, began: float, *, copied: Copied | None = None, error: ImgsyncError | None = None) -> Outcome:
    return Outcome(
        change,
        result,
        digest=copied.root.digest if copied else None,
        crc32=copied.root.crc32 if copied else None,
        bytes_copied=progress.bytes_copied,
        blobs_copied=progress.blobs_copied,
        blobs_mounted=progress.blobs_mounted,
        blobs_present=progress.blobs_present,
        seconds=round(time.monotonic() - began, 3),
        attempts=progress.attempts,
        error=error.message if error else None,
        hint=error.hint if error else "",
    )


def _record_of(change: Change, mirror: Mirror, copied: Copied) -> Record:
    return Record(
        destination=change.destination,
        digest=copied.root.digest,
        crc32=copied.root.crc32,
        size_bytes=copied.size_bytes,
        media_type=copied.root.media_type,
        source=change.source,
        source_digest=change.source_digest or "",
        selection=mirror.selection,
        applied_at=_now(),
    )


def _log_outcome(log: Log, outcome: Outcome) -> None:
    change = outcome.change
    fields = {"mirror": change.mirror, "source": change.source, "destination": change.destination}
    if outcome.result == "copied":
        counts = {name: getattr(outcome, name) for name in ("bytes_copied", "blobs_copied", "blobs_mounted", "blobs_present", "seconds", "attempts")}
        log.info("image.copied", **fields, digest=outcome.digest, crc32=outcome.crc32, **counts)
    elif outcome.result == "refused":
        log.warning("image.refused", **fields, reason=outcome.error, hint=outcome.hint)
    elif outcome.result == "failed":
        log.error("image.failed", **fields, error=outcome.error, hint=outcome.hint, seconds=outcome.seconds, attempts=outcome.attempts)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
