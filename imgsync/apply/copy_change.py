"""
Carry out one change; turn errors into outcomes.

Nothing is written to the state here: the record is returned. Spec: docs/reference/exit-codes.md.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imgsync.apply.listener import ProgressListener
from imgsync.apply.options import RunOptions
from imgsync.apply.report import Outcome, Result
from imgsync.apply.tag_owner import TagOwners
from imgsync.apply.time_limits import Forecast
from imgsync.concurrency.deadline import Deadline
from imgsync.config.model import Mirror
from imgsync.errors import (
    ImgsyncError,
    ImmutableTagError,
    LimitReachedError,
    NotFoundError,
    PolicyViolationError,
    ReferrersError,
    StoppedError,
)
from imgsync.images.referrer_tags import parse_note
from imgsync.logs.logger import Logger
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.platform import parse_platform
from imgsync.oci.spec.reference import Reference
from imgsync.plan.context import PlanContext
from imgsync.plan.model import Change
from imgsync.plan.refusal import REQUIRED
from imgsync.state import Record, StateStore
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_duration, format_timestamp
from imgsync.transfer import BlobResult, Copied, Copier, Job, KnownBlobs, Progress, Recorded

if TYPE_CHECKING:
    from imgsync.apply.copy_shared import FinishedBlob
    from imgsync.plan.shards import BlobHome

_TIME_IS_UP = "timeouts.run is over"
_REFERRERS_HINT = "the next run tries again; to mirror without referrers, set `referrers: false`"


@dataclass(frozen=True, slots=True)
class ChangeTask:
    """A change, and all registries of its image."""

    change: Change
    registries: frozenset[str]


@dataclass(frozen=True, slots=True)
class FinishedChange:
    """
    An outcome, its record, and content at the destination.

    The source gave what was `seen`; other content was `found` there, with sizes, or is `missing` despite a record.
    """

    outcome: Outcome
    record: Record | None
    seen: Mapping[str, int | None]
    found: Mapping[str, int | None] = field(default_factory=dict)
    missing: Sequence[str] = ()


class ChangeRunner:
    """Carries out changes, one per call, from several greenlets."""

    def __init__(
        self,
        mirrors: Mapping[str, Mirror],
        owners: TagOwners,
        context: PlanContext,
        *,
        options: RunOptions,
        listener: ProgressListener,
        known_blobs: KnownBlobs | None = None,
    ) -> None:
        """Copy for *mirrors*, by name, with *known_blobs* of earlier batches."""
        self._mirrors = mirrors
        self._owners = owners
        self._context = context
        self._registries = registries = context.registries
        self._policy = context.policy
        self._log = context.log
        self._stop = context.stop
        self._state = context.state
        self._listener = listener
        self._limits = options.time_limits
        self._fail_fast = options.fail_fast
        self._forecast = Forecast()
        self._filled = options.shard.filled if options.shard is not None else frozenset()
        self._copier = Copier(
            make_known_blobs(context.state) if known_blobs is None else known_blobs,
            context.manifests,
            context.referrers,
            context.external_layers,
            create_repository=registries.create_repository,
            shared=options.shard.shared if options.shard is not None else None,
        )

    def run(self, task: ChangeTask) -> FinishedChange | None:
        """Copy one image, or return None without time."""
        change = task.change
        mirror = self._mirrors[change.mirror]
        if not self._has_time(mirror, change):
            return None
        progress = Progress()
        began = time.monotonic()
        self._listener.on_start(change)
        try:
            copied = self._copy(task, mirror, self._start_deadline(mirror, change), progress)
        except ImgsyncError as error:
            result = self._explain(error, change, mirror)
            return _finish(_outcome(change, result, progress, began, error=error), None, progress)
        self._forecast.learn(progress.bytes_copied, time.monotonic() - began)
        record = self._make_record(change, mirror, copied)
        if copied.error is None:
            return _finish(_outcome(change, Result.COPIED, progress, began, copied=copied), record, progress)
        message = f"the image is at the destination, but not all of its referrers: {copied.error.message}"
        hint = copied.error.hint
        failure = ReferrersError(message, hint=hint if "referrers:" in hint else "; ".join(filter(None, (hint, _REFERRERS_HINT))))
        result = self._explain(failure, change, mirror)
        # Unconfirmed, so that the next run looks for the referrers.
        return _finish(_outcome(change, result, progress, began, copied=copied, error=failure), record.tainted, progress)

    def run_blob(self, home: BlobHome) -> FinishedBlob | None:
        """Copy one shared blob, None if its image is checked first."""
        # Imported now: only shards need it.
        from imgsync.apply.copy_shared import copy_shared_blob, leave_shared_blob

        mirror, size_bytes = self._mirrors[home.change.mirror], home.blob.size_bytes
        if self._policy.list_requirements(mirror, home.change.source.repository):
            return None
        if self._stop.is_closed or not self._has_time(mirror, replace(home.change, size_bytes=size_bytes)):
            return leave_shared_blob(home)
        deadline = self._start_deadline(mirror, home.change)
        return copy_shared_blob(home, mirror, self._copier, context=self._context, deadline=deadline, listener=self._listener)

    def _copy(self, task: ChangeTask, mirror: Mirror, deadline: Deadline, progress: Progress) -> Copied:
        change = task.change
        source, destination = change.source, change.destination
        client = self._registries.make_destination_client(destination.repository.registry, mirror, check=deadline.check)
        job = Job(
            source=Reference(source.repository, digest=change.source_digest or ""),
            destination=destination,
            platforms=None if mirror.platforms is None else tuple(parse_platform(text) for text in mirror.platforms),
            blobs_at_once=mirror.concurrency.blobs,
            referrers=mirror.referrers,
            destination_digest=change.destination_digest,
            pushed_tags=parse_note(self._state.get_referrer_tags(str(destination.repository), change.source_digest or "")),
            registries=task.registries,
            asks=self._is_state_outdated(change, client),
        )
        reader = self._registries.make_source_client(mirror, check=deadline.check)
        # Checked again, since a saved plan comes from a file that others may have changed.
        if problem := self._policy.find_problem(mirror, reader, source.repository, job.source.digest):
            raise PolicyViolationError(f"{REQUIRED}{problem}")
        return self._copier.copy_image(
            job,
            source=reader,
            destination=client,
            deadline=deadline,
            progress=progress,
            listener=_CopyListener(change, self._listener, self._log),
        )

    def _is_state_outdated(self, change: Change, destination: ImageStore) -> bool:
        """
        Return whether the destination differs from what the state says about it.

        Then it is asked for blobs: those that are there are not sent again, and those that are gone are sent. A tag that moves costs one
        HEAD for this; a new tag in a repository that the state knows, or in a new one, costs nothing.
        """
        repository, state = change.destination.repository, self._context.state
        if self._context.refresh or state.was_interrupted:
            return True
        record = state.get(str(change.destination))
        if record is not None:
            served = destination.resolve(change.destination) if record.digest == change.destination_digest else None
            return served is None or served.digest != record.digest
        is_filled = repository in self._filled or self._context.destination_tags.has_tags(repository)
        return is_filled and not state.has_blobs_of(repository.registry, repository.path)

    def _explain(self, error: ImgsyncError, change: Change, mirror: Mirror) -> Result:
        """Return the result of *error*; add its hint."""
        if isinstance(error, NotFoundError) and error.reference.endswith(f"@{change.source_digest}"):
            error.hint = error.hint or "the image was deleted at its source after the plan was made; make the plan again"
        result = self._result(error, mirror)
        if self._fail_fast and result is Result.FAILED:
            # Without a reason: the report shows the failure, and running again would fail again.
            self._stop.close("")
        return result

    def _result(self, error: ImgsyncError, mirror: Mirror) -> Result:
        if isinstance(error, LimitReachedError):
            # The other registries of this run continue.
            self._stop.explain(error.message)
            return Result.REMAINING
        if isinstance(error, StoppedError) and self._stop.is_closed:
            return Result.REMAINING
        if isinstance(error, StoppedError) and self._limits.left_seconds(mirror.timeouts.run_seconds) == 0.0:
            self._stop.explain(_TIME_IS_UP)
            return Result.REMAINING
        return Result.REFUSED if isinstance(error, ImmutableTagError | PolicyViolationError) else Result.FAILED

    def _make_record(self, change: Change, mirror: Mirror, copied: Copied) -> Record:
        return Record(
            destination=str(change.destination),
            digest=copied.root.digest,
            crc32=copied.root.crc32,
            size_bytes=copied.size_bytes,
            media_type=copied.root.media_type,
            source=str(change.source),
            source_digest=change.source_digest or "",
            selection=self._policy.describe_settings(mirror, change.source.repository),
            applied_at=format_timestamp(datetime.now(UTC), milliseconds=True),
            mirror=self._owners.name_pusher(change),
        )

    def _has_time(self, mirror: Mirror, change: Change) -> bool:
        """Return whether there is time for an image."""
        limits = self._limits
        whole, left = limits.limit_seconds(mirror.timeouts.run_seconds), limits.left_seconds(mirror.timeouts.run_seconds)
        if whole is None or left is None:
            return True
        if limits.elapsed_seconds >= limits.close_seconds(whole):
            self._stop.explain(_TIME_IS_UP)
            return False
        if self._forecast.has_time_for(change.size_bytes or 0, left_seconds=left, whole_seconds=limits.cancel_seconds(whole)):
            return True
        self._stop.explain(f"the next image does not fit into the run's {format_duration(whole)}")
        return False

    def _start_deadline(self, mirror: Mirror, change: Change) -> Deadline:
        """Start the time limit of an image."""
        limit, left = mirror.timeouts.image_seconds, self._limits.left_seconds(mirror.timeouts.run_seconds)
        if self._limits.run_seconds is None and left is not None and left < limit:
            return Deadline(left, stop=self._stop, what=str(change.source), hint=f"{_TIME_IS_UP}; the next run resumes")
        return Deadline(limit, stop=self._stop, what=str(change.source))


def make_known_blobs(state: StateStore) -> KnownBlobs:
    """Return what *state* says of blobs, to be completed by a run."""
    return KnownBlobs(Recorded(state.find_blob_repositories, state.find_blob_sources, state.find_blob_size))


class _CopyListener:
    """Reports bytes to the listener and blobs to the log."""

    def __init__(self, change: Change, listener: ProgressListener, log: Logger) -> None:
        self._change = change
        self._listener = listener
        self._log = log
        # By digest; what this copy moves, or expects to.
        self._needed: dict[str, int] = {}

    def on_bytes(self, size_bytes: int) -> None:
        self._listener.on_bytes(self._change, size_bytes)

    def on_need(self, blob: Descriptor) -> None:
        if blob.digest not in self._needed:
            self._needed[blob.digest] = blob.size_bytes
            self._listener.on_size(self._change, blob.size_bytes)

    def on_spare(self, blob: Descriptor) -> None:
        if blob.digest in self._needed:
            self._listener.on_size(self._change, -self._needed.pop(blob.digest))

    def on_found(self, blob: Descriptor) -> None:
        # Only what the plan counted: a blob that a record names was not expected to move.
        if blob.digest in self._needed:
            self._listener.on_found(blob.size_bytes)

    def on_blob(self, how: str, blob: Descriptor, *, mounted_from: str = "") -> None:
        if how != "copied":
            self.on_spare(blob)
        more = {"mounted_from": mounted_from} if mounted_from else {}
        self._log.debug(
            f"blob.{how}", mirror=self._change.mirror, destination=str(self._change.destination), digest=blob.digest, size_bytes=blob.size_bytes, **more
        )

    def on_warning(self, reason: str) -> None:
        self._log.warning("referrers.incomplete", mirror=self._change.mirror, destination=str(self._change.destination), reason=reason)


def _finish(outcome: Outcome, record: Record | None, progress: Progress) -> FinishedChange:
    return FinishedChange(outcome, record, progress.confirmed_sizes, progress.found_sizes, progress.missing_digests)


def _outcome(change: Change, result: Result, progress: Progress, began: float, *, copied: Copied | None = None, error: ImgsyncError | None = None) -> Outcome:
    return Outcome(
        change,
        result,
        digest=copied.root.digest if copied else None,
        crc32=copied.root.crc32 if copied else None,
        bytes_copied=progress.bytes_copied,
        blobs_copied=progress.count_blobs(BlobResult.COPIED),
        blobs_mounted=progress.count_blobs(BlobResult.MOUNTED),
        blobs_present=progress.count_blobs(BlobResult.PRESENT),
        seconds=round(time.monotonic() - began, 3),
        attempts=progress.attempts,
        error=error.message if error else None,
        left_out=copied.left_out if copied else (),
        hint=error.advice if error else "",
    )
