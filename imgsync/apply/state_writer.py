"""
Write the state during a run.

A state that cannot be written does not fail the run: it only costs the next run requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imgsync.apply.adopt import summarize_referrers
from imgsync.apply.tag_owner import TagOwners
from imgsync.apply.unchanged_tags import UnchangedTags
from imgsync.config.model import Mirror
from imgsync.errors import StateError
from imgsync.oci.spec.reference import parse_repository
from imgsync.plan.context import PlanContext
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.model import Change, Plan
from imgsync.state import Record, SeenBlobs
from imgsync.system.packed_rows import split_blocks
from imgsync.text.units import format_timestamp

if TYPE_CHECKING:
    from imgsync.apply.copy_change import FinishedChange
    from imgsync.apply.shard_outcome import FoundBlobs

# A plan may update a million tags.
_MOST_AT_ONCE = 4096


class StateWriter:
    """Writes the state of one run; errors become log lines."""

    def __init__(self, mirrors: Mapping[str, Mirror], owners: TagOwners, context: PlanContext) -> None:
        """Write to the state of *context*."""
        self._mirrors = mirrors
        self._owners = owners
        self._context = context
        self._state = context.state
        self._log = context.log

    def record(self, change: Change) -> Record | None:
        """Return the record of *change*, if any."""
        return self._state.get(str(change.destination))

    def begin_copies(self) -> None:
        """Note that copies begin, in case this run is killed."""
        try:
            self._state.begin_copies(format_timestamp(datetime.now(UTC)))
        except StateError as error:
            self._log.warning("state.degraded", reason=error.message)

    def mark_unconfirmed(self, changes: Iterable[Change]) -> None:
        """
        Mark the records of *changes* unconfirmed until the registry answers.

        A registry may carry out a request whose answer is lost, or this run may be killed before it arrives. The next run must then ask
        the destination: the source may have gone back to the digest recorded before.
        """
        known = (record for change in changes if (record := self.record(change)) is not None and record.is_confirmed)
        for some in split_blocks((record.tainted for record in known), _MOST_AT_ONCE):
            self._put(some)

    def write_copies(self, finished: Sequence[FinishedChange]) -> None:
        """Write records and blobs of *finished* copies."""
        self._put(
            [one.record for one in finished if one.record is not None],
            blobs=[blobs for one in finished for blobs in _locate_blobs(one)],
            lost=[_locate_missing(one) for one in finished if one.missing],
            referrers=[note for one in finished for note in self._summarize(one)],
        )

    def write_found(self, found: Sequence[FoundBlobs], records: Sequence[Record] = ()) -> None:
        """Write what other machines found and pushed."""
        # Without a source: which one gave a blob is not believed.
        self._put(
            records,
            blobs=[SeenBlobs(*_split(one), "", one.found) for one in found if one.found],
            lost=[(*_split(one), one.missing) for one in found if one.missing],
        )

    def begin_unchanged(self) -> UnchangedTags:
        """Return what collects the tags that need no work."""
        return UnchangedTags(self._mirrors, self._owners, self._context)

    def write_unchanged(self, found: UnchangedTags) -> None:
        """Write what was *found* so far."""
        self._put(found.adopted, referrers=found.referrers, held=found.held)
        found.clear()

    def write_gone(self, plan: Plan, now: str) -> None:
        """Record since when the sources lack recorded tags."""
        # An empty list may be wrong. Without a date, what the next run sees is the first sight.
        gone = [str(tag.destination) for tag in plan.gone if not tag.since and tag.is_certain and self._is_of_source(tag)]
        if not gone and not plan.returned:
            return
        try:
            self._state.put_gone(((destination, now) for destination in gone), returned=plan.returned)
        except StateError as error:
            self._log.warning("state.degraded", reason=error.message)

    def _is_of_source(self, tag: GoneTag) -> bool:
        record = self._state.get(str(tag.destination))
        return record is not None and record.source.partition("@")[0] == str(tag.source).partition("@")[0]

    def remove(self, change: Change) -> None:
        """Remove the record of the destination of *change*."""
        try:
            self._state.remove([str(change.destination)])
        except StateError as error:
            self._log.warning("state.degraded", reason=error.message)

    def _summarize(self, finished: FinishedChange) -> Iterator[tuple[str, str, str]]:
        """Yield which referrers the source had, if all were copied."""
        change = finished.outcome.change
        if finished.record is not None and finished.record.is_confirmed:
            yield from summarize_referrers(change, self._mirrors[change.mirror], context=self._context)

    def _put(
        self,
        records: Sequence[Record],
        *,
        blobs: Sequence[SeenBlobs] = (),
        lost: Sequence[tuple[str, str, Sequence[str]]] = (),
        referrers: Sequence[tuple[str, str, str]] = (),
        held: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        """Write all in one transaction."""
        if not (records or blobs or lost or referrers or held):
            return
        try:
            self._state.put(records, blobs=blobs, lost=lost, referrers=referrers, seen=held)
        except StateError as error:
            self._log.warning("state.degraded", reason=error.message)


def _split(found: FoundBlobs) -> tuple[str, str]:
    repository = parse_repository(found.repository)
    return repository.registry, repository.path


def _locate_blobs(finished: FinishedChange) -> Iterator[SeenBlobs]:
    change = finished.outcome.change
    repository = change.destination.repository
    if finished.seen:
        yield SeenBlobs(repository.registry, repository.path, change.source.repository.registry, finished.seen)
    if finished.found:
        yield SeenBlobs(repository.registry, repository.path, "", finished.found)


def _locate_missing(finished: FinishedChange) -> tuple[str, str, Sequence[str]]:
    repository = finished.outcome.change.destination.repository
    return repository.registry, repository.path, finished.missing
