"""
Make a plan true: run its changes, remember what was pushed, tell what came of each.

Workers return, this module's loop writes: only it touches the state and emits the line of each image.
Spec: design.md §3 exit codes, §4 report, §5 logs, §6 state.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from imgsync.concurrency import Deadline, Stop, map_unordered, spawn_later
from imgsync.config.model import Config, Mirror
from imgsync.errors import BudgetSpentError, ImgsyncError, ImmutableTagError, StateError, StoppedError
from imgsync.events import Log
from imgsync.oci.manifest import Descriptor, parse_platform
from imgsync.oci.reference import Reference, parse_reference
from imgsync.plan.model import PENDING, Action, Change, Plan
from imgsync.registries import Registries
from imgsync.report import Outcome, Report
from imgsync.state import Record, StateStore
from imgsync.transfer import BlobMemory, Copied, Copier, Job, Progress

_UNDONE = {Action.KEEP: "kept", Action.HOLD: "held", Action.REFUSE: "refused"}


class Watcher(Protocol):
    """Whoever shows progress."""

    def watch(self, plan: Plan) -> None:
        """This is what there is to do."""

    def started(self, change: Change) -> None:
        """One image begins."""

    def advanced(self, change: Change, size_bytes: int) -> None:
        """Bytes of one image moved; negative when a try began anew."""

    def finished(self, outcome: Outcome) -> None:
        """One image ended."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a run: seconds since it *began*, planning included (None: the mirrors' own), of grace after a stop; end at the first failure."""

    began: float

    run_seconds: float | None = None
    grace_seconds: float = 5.0
    fail_fast: bool = False


def apply_plan(plan: Plan, config: Config, registries: Registries, state: StateStore, *, log: Log, watcher: Watcher, stop: Stop, limits: Limits) -> Report:
    """
    Return what came of every change of *plan*; one image's failure never stops the others unless limits say so.

    A stop lets nothing new begin and gives what runs its grace; what was not done is "remaining".
    """
    watcher.watch(plan)
    return _Run(plan, config, registries, state, log=log, watcher=watcher, stop=stop, limits=limits).report()


class _Run:
    def __init__(
        self, plan: Plan, config: Config, registries: Registries, state: StateStore, *, log: Log, watcher: Watcher, stop: Stop, limits: Limits
    ) -> None:
        self._plan = plan
        self._mirrors = {mirror.name: mirror for mirror in config.mirrors}
        self._registries = registries
        self._state = state
        self._log = log
        self._watcher = watcher
        self._stop = stop
        self._limits = limits
        self._began = time.monotonic()
        self._copier = Copier(BlobMemory(state.blob_repositories), registries.manifests, registries.referrers, make_repository=registries.make_repository)
        self._outcomes: dict[str, Outcome] = {}
        self._records: list[Record] = []
        self._blobs: list[tuple[Reference, list[str]]] = []
        self._referrers: list[Change] = []

    def report(self) -> Report:
        for change in self._plan.changes:
            if change.action not in PENDING:
                self._settle(change)
        self._flush()
        pending = [change for change in self._plan.changes if change.action in PENDING]
        at_once = max((self._mirrors[change.mirror].concurrency.images for change in pending), default=1)
        if self._limits.run_seconds is not None and pending:
            spawn_later(max(0.0, self._limits.run_seconds - self._run_seconds()), self._time_is_up)
        for done in map_unordered(self._attempt, self._startable(pending), limit=at_once, stop=self._stop):
            self._record(done)
        self._flush()
        outcomes = tuple(self._outcomes.get(change.destination) or Outcome(change, "remaining") for change in self._plan.changes)
        return Report(self._plan.id, outcomes, self._plan.errors, round(time.monotonic() - self._began, 3), self._stop.reason)

    def _startable(self, pending: list[Change]) -> Iterator[Change]:
        """Yield changes while their mirror may still start one."""
        for change in pending:
            limit = self._mirrors[change.mirror].timeouts.run_seconds
            if self._limits.run_seconds is None and limit is not None and self._run_seconds() > limit:
                self._stop.reason = self._stop.reason or "timeouts.run is reached"
                continue
            yield change

    def _run_seconds(self) -> float:
        return time.monotonic() - self._limits.began

    def _time_is_up(self) -> None:
        self._stop.request("the run's time is up", grace_seconds=self._limits.grace_seconds)

    def _settle(self, change: Change) -> None:
        """Note a change that asks for nothing; a kept tag without a fitting record is adopted."""
        result = _UNDONE[change.action]
        record = self._state.record(change.destination)
        self._outcomes[change.destination] = Outcome(
            change,
            result,
            digest=change.destination_digest,
            crc32=(record.crc32 or None) if record is not None and record.digest == change.destination_digest else None,
            error=change.reason if change.action is Action.REFUSE else None,
        )
        if change.action is Action.KEEP:
            self._log.debug("image.kept", mirror=change.mirror, source=change.source, destination=change.destination, digest=change.destination_digest)
            self._adopt(change, record)
            self._referrers.append(change)
        elif change.action is Action.REFUSE:
            self._log.warning("image.refused", mirror=change.mirror, source=change.source, destination=change.destination, reason=change.reason)

    def _adopt(self, change: Change, record: Record | None) -> None:
        selection = self._mirrors[change.mirror].selection
        if change.destination_digest is None or change.source_digest is None:
            return
        known = record if record is not None and record.digest == change.destination_digest else None
        read = self._registries.manifests.get(change.destination_digest)
        crc32 = read.crc32 if read is not None else known.crc32 if known is not None else ""
        if known is not None and (known.source_digest, known.selection, known.crc32) == (change.source_digest, selection, crc32):
            return
        self._records.append(
            Record(
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
        )

    def _attempt(self, change: Change) -> tuple[Outcome, Record | None, list[str]]:
        """Copy one image; the one place where an error becomes an outcome."""
        mirror = self._mirrors[change.mirror]
        deadline = Deadline(mirror.timeouts.image_seconds, stop=self._stop, what=change.source)
        progress = Progress()
        began = time.monotonic()
        self._watcher.started(change)
        try:
            copied = self._copy(change, mirror, deadline, progress)
        except ImgsyncError as error:
            cut = isinstance(error, BudgetSpentError) or (isinstance(error, StoppedError) and self._stop.requested)
            if isinstance(error, BudgetSpentError):
                # This registry's rest is for the next run; the others go on.
                self._stop.reason = self._stop.reason or error.message
            result = "remaining" if cut else "refused" if isinstance(error, ImmutableTagError) else "failed"
            return _outcome(change, result, progress, began, error=error), None, progress.seen
        return _outcome(change, "copied", progress, began, copied=copied), _record_of(change, mirror, copied), progress.seen

    def _copy(self, change: Change, mirror: Mirror, deadline: Deadline, progress: Progress) -> Copied:
        source, destination = parse_reference(change.source), parse_reference(change.destination)
        job = Job(
            source=Reference(source.repository, digest=change.source_digest or ""),
            destination=destination,
            platforms=None if mirror.platforms is None else tuple(parse_platform(text) for text in mirror.platforms),
            blobs_at_once=mirror.concurrency.blobs,
            referrers=mirror.referrers,
            served=change.destination_digest,
        )
        return self._copier.copy_image(
            job,
            source=self._registries.source(mirror, check=deadline.check),
            destination=self._registries.destination(destination.repository.registry, mirror, check=deadline.check),
            deadline=deadline,
            progress=progress,
            observer=_Observer(change, self._watcher, self._log),
        )

    def _record(self, done: tuple[Outcome, Record | None, list[str]]) -> None:
        outcome, record, seen = done
        self._outcomes[outcome.change.destination] = outcome
        if record is not None:
            self._records.append(record)
            self._referrers.append(outcome.change)
        if seen:
            self._blobs.append((parse_reference(outcome.change.destination), seen))
        # Before the line that says so: whoever reads the line may count on the record.
        self._flush()
        _log_outcome(self._log, outcome)
        self._watcher.finished(outcome)
        if self._limits.fail_fast and outcome.result == "failed":
            # Without a reason of its own: the report says what failed, and running again would fail again.
            self._stop.request("")

    def _flush(self) -> None:
        """Write what gathered; a state that cannot be written costs the next run requests, not this one its work."""
        records, self._records = self._records, []
        blobs, self._blobs = self._blobs, []
        seen_to, self._referrers = self._referrers, []
        try:
            if records:
                self._state.put(records)
            for destination, digests in blobs:
                self._state.saw_blobs(destination.repository.registry, destination.repository.path, digests)
            for change in seen_to:
                self._remember_referrers(change)
        except StateError as error:
            self._log.warning("state.degraded", reason=error.message)

    def _remember_referrers(self, change: Change) -> None:
        """Note which tags of referrers the source had, so that a signature made later is seen in its listing."""
        source, destination = parse_reference(change.source), parse_reference(change.destination)
        summary = self._registries.referrers.summary(source.repository, change.source_digest or "")
        if summary is not None and self._mirrors[change.mirror].referrers is not False:
            self._state.saw_referrers(str(destination.repository), change.source_digest or "", summary)


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
