"""
One change carried out: copied, or why not. The one place where an error becomes an outcome.

Writes nothing: what is to be remembered goes back to who asked. Spec: design.md §3 exit codes, §4 report.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from imgsync.apply.listener import Watcher
from imgsync.apply.report import Outcome, Result
from imgsync.apply.time_limits import Forecast, Limits
from imgsync.concurrency.deadline import Deadline
from imgsync.config.model import Mirror
from imgsync.errors import BudgetSpentError, ImgsyncError, ImmutableTagError, NotFoundError, StoppedError, UntrustedError
from imgsync.logs.logger import Logger
from imgsync.oci.spec.manifest import Descriptor, parse_platform
from imgsync.oci.spec.reference import Reference, parse_reference
from imgsync.plan.context import Inquiry
from imgsync.plan.decide import REQUIRED
from imgsync.plan.model import Change
from imgsync.state import Record
from imgsync.text.units import format_duration, format_timestamp
from imgsync.transfer import Copied, Copier, Job, KnownBlobs, Progress

_TIME_IS_UP = "timeouts.run is over"


@dataclass(frozen=True, slots=True)
class Item:
    """A change to carry out, and the registries that get the same image at the same time."""

    change: Change
    registries: frozenset[str]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of one change, what is to be remembered of it, and which blobs and manifests its destination was seen to hold."""

    outcome: Outcome
    record: Record | None
    seen: Sequence[str]


class Attempts:
    """Carries out changes, one call each, side by side; they share what was copied."""

    def __init__(self, mirrors: Mapping[str, Mirror], inquiry: Inquiry, *, watcher: Watcher, limits: Limits) -> None:
        """Copy as *mirrors*, by name, declare, with the registries and the state of *inquiry*."""
        self._mirrors = mirrors
        self._registries = registries = inquiry.registries
        self._gate = inquiry.gate
        self._log = inquiry.log
        self._watcher = watcher
        self._stop = inquiry.stop
        self._limits = limits
        self._forecast = Forecast()
        self._copier = Copier(KnownBlobs(inquiry.state.blob_repositories), inquiry.manifests, inquiry.referrers, create_repository=registries.make_repository)

    def carry_out(self, item: Item) -> Done | None:
        """Copy one image, None when there is no time left to begin; the one place where an error becomes an outcome."""
        change = item.change
        mirror = self._mirrors[change.mirror]
        if not self._has_time(mirror, change):
            return None
        deadline = self._deadline(mirror, change)
        progress = Progress()
        began = time.monotonic()
        self._watcher.started(change)
        try:
            copied = self._copy(item, mirror, deadline, progress)
        except ImgsyncError as error:
            if isinstance(error, NotFoundError) and error.reference.endswith(f"@{change.source_digest}"):
                error.hint = error.hint or "the image is gone from its source since the plan was made; make the plan again"
            result = self._result(error, mirror)
            if self._limits.fail_fast and result is Result.FAILED:
                # Without a reason of its own: the report says what failed, and running again would fail again.
                self._stop.close("")
            return Done(_outcome(change, result, progress, began, error=error), None, progress.confirmed_digests)
        self._forecast.learn(progress.bytes_copied, time.monotonic() - began)
        return Done(_outcome(change, Result.COPIED, progress, began, copied=copied), self._record_of(change, mirror, copied), progress.confirmed_digests)

    def _result(self, error: ImgsyncError, mirror: Mirror) -> Result:
        """Return the result that *error* leads to."""
        if isinstance(error, BudgetSpentError):
            # This registry's rest is for the next run; the others go on.
            self._stop.explain(error.message)
            return Result.REMAINING
        if isinstance(error, StoppedError) and self._stop.is_closed:
            return Result.REMAINING
        if isinstance(error, StoppedError) and self._left_seconds(mirror) == 0.0:
            self._stop.explain(_TIME_IS_UP)
            return Result.REMAINING
        return Result.REFUSED if isinstance(error, ImmutableTagError | UntrustedError) else Result.FAILED

    def _copy(self, item: Item, mirror: Mirror, deadline: Deadline, progress: Progress) -> Copied:
        change = item.change
        source, destination = parse_reference(change.source), parse_reference(change.destination)
        job = Job(
            source=Reference(source.repository, digest=change.source_digest or ""),
            destination=destination,
            platforms=None if mirror.platforms is None else tuple(parse_platform(text) for text in mirror.platforms),
            blobs_at_once=mirror.concurrency.blobs,
            referrers=mirror.referrers,
            destination_digest=change.destination_digest,
            registries=item.registries,
        )
        client = self._registries.source(mirror, check=deadline.check)
        # Asked here too, whoever made the plan: one that was saved may be anybody's.
        if problem := self._gate.problem(mirror, client, source.repository, job.source.digest):
            raise UntrustedError(f"{REQUIRED}{problem}")
        return self._copier.copy_image(
            job,
            source=client,
            destination=self._registries.destination(destination.repository.registry, mirror, check=deadline.check),
            deadline=deadline,
            progress=progress,
            listener=_Listener(change, self._watcher, self._log),
        )

    def _record_of(self, change: Change, mirror: Mirror, copied: Copied) -> Record:
        return Record(
            destination=change.destination,
            digest=copied.root.digest,
            crc32=copied.root.crc32,
            size_bytes=copied.size_bytes,
            media_type=copied.root.media_type,
            source=change.source,
            source_digest=change.source_digest or "",
            selection=self._gate.selection(mirror, parse_reference(change.source).repository),
            applied_at=format_timestamp(datetime.now(UTC), milliseconds=True),
        )

    def _has_time(self, mirror: Mirror, change: Change) -> bool:
        """Return whether an image of *mirror* may still be begun; one that would be cut before its end is left to the next run."""
        whole, left = self._run_seconds(mirror), self._left_seconds(mirror)
        if whole is None or left is None:
            return True
        if self._limits.elapsed_seconds >= self._limits.close_seconds(whole):
            self._stop.explain(_TIME_IS_UP)
            return False
        if self._forecast.fits(change.size_bytes or 0, left_seconds=left, whole_seconds=self._limits.cut_seconds(whole)):
            return True
        self._stop.explain(f"the run's {format_duration(whole)} would not have been enough")
        return False

    def _deadline(self, mirror: Mirror, change: Change) -> Deadline:
        """Return what ends the copy: its own limit, or the end of the run of a mirror that says when that is."""
        limit, left = mirror.timeouts.image_seconds, self._left_seconds(mirror)
        if self._limits.run_seconds is None and left is not None and left < limit:
            return Deadline(left, stop=self._stop, what=change.source, hint="timeouts.run is over; the next run goes on")
        return Deadline(limit, stop=self._stop, what=change.source)

    def _run_seconds(self, mirror: Mirror) -> float | None:
        """Return within what time the run ends for *mirror*: what the command line says, else what it declares itself."""
        return mirror.timeouts.run_seconds if self._limits.run_seconds is None else self._limits.run_seconds

    def _left_seconds(self, mirror: Mirror) -> float | None:
        """Return how long it is until images of *mirror* are cut, None when they never are."""
        whole = self._run_seconds(mirror)
        return None if whole is None else max(0.0, self._limits.cut_seconds(whole) - self._limits.elapsed_seconds)


@dataclass(frozen=True, slots=True)
class _Listener:
    """Tells the watcher of each byte and the log, for who debugs, of each blob."""

    change: Change
    watcher: Watcher
    log: Logger

    def on_bytes(self, size_bytes: int) -> None:
        self.watcher.advanced(self.change, size_bytes)

    def on_blob(self, how: str, blob: Descriptor, *, mounted_from: str = "") -> None:
        more = {"mounted_from": mounted_from} if mounted_from else {}
        self.log.debug(f"blob.{how}", mirror=self.change.mirror, destination=self.change.destination, digest=blob.digest, size_bytes=blob.size_bytes, **more)

    def on_warning(self, reason: str) -> None:
        self.log.warning("referrers.incomplete", mirror=self.change.mirror, destination=self.change.destination, reason=reason)


def _outcome(change: Change, result: Result, progress: Progress, began: float, *, copied: Copied | None = None, error: ImgsyncError | None = None) -> Outcome:
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
