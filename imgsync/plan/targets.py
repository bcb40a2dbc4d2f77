"""
Find the destinations of a tag and what they serve.

A confirmed record answers for its destination; else the registry is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from imgsync.config.model import Destination, Mirror
from imgsync.images.left_out import describe_left_out
from imgsync.images.referrer_tags import parse_note
from imgsync.images.referrers import Referrers
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.platform import parse_platform
from imgsync.oci.spec.reference import Reference, Repository, is_layout
from imgsync.oci.spec.select_platforms import find_missing
from imgsync.plan.context import PlanContext
from imgsync.plan.destinations import find_reference
from imgsync.plan.list_repositories import SourceRepository
from imgsync.state import Record
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.images.referrer_gaps import ReferrerGaps


@dataclass(frozen=True, slots=True)
class Target:
    """
    One destination of a tag: its record and served digest.

    An unconfirmed record counts as none, but `is_unconfirmed` says that there is one: `verify` found the image changed, or a run that copied it
    was killed. Then its content is checked too.
    `own_digest` is what the destination calls `served`, if it uses another algorithm.
    """

    reference: Reference
    record: Record | None
    served: str | None = None
    is_unconfirmed: bool = False
    own_digest: str = ""

    @property
    def repository(self) -> Repository:
        """Return the destination repository."""
        return self.reference.repository


class Targets:
    """Finds and compares the destinations of one mirror's tags."""

    def __init__(self, mirror: Mirror, context: PlanContext, *, copies_at_once: int) -> None:
        """Open connections early for *copies_at_once* images that are copied meanwhile."""
        self._mirror = mirror
        self._context = context
        self._state = context.state
        self._copies_at_once = copies_at_once
        self._lacking: Counter[str] = Counter()

    def find(self, destination: Destination, found: SourceRepository, tag: str) -> Target:
        """Return where *tag* goes at *destination*, with its record."""
        reference = find_reference(destination, found.repository, found.relative, tag)
        record = self._state.get(str(reference))
        if record is None or not record.is_confirmed:
            return Target(reference, None, is_unconfirmed=record is not None)
        return Target(reference, record if self._context.reads_records and not self._is_replaced(reference, record) else None)

    def look_up(self, target: Target) -> Target:
        """Return *target* with the digest it serves."""
        if target.record is not None and not self._context.refresh:
            return replace(target, served=target.record.digest)
        client = self._make_client(target.repository)
        self._lacking[client.registry] += 1
        self._open_ahead(client)
        served = self._context.destination_tags.resolve(client, target.reference)
        # Only now it may be known that the registry is far away.
        self._open_ahead(client)
        return replace(target, served=served)

    def _is_replaced(self, reference: Reference, record: Record) -> bool:
        """
        Return whether a layout does not have what *record* says.

        Media are exchanged and wiped, and to look costs no request.
        """
        if not is_layout(reference.repository.registry):
            return False
        served = self._context.destination_tags.resolve(self._make_client(reference.repository), reference)
        return served != record.digest

    def is_damaged(self, target: Target, source: Repository) -> bool:
        """Return whether the manifest in *source* contradicts the record's crc32."""
        record = target.record
        read = self._context.manifests.get(record.digest, source) if record is not None and record.crc32 else None
        return record is not None and read is not None and read.crc32 != record.crc32

    def check_parts(self, target: Target, blobs: Sequence[Descriptor]) -> None:
        """
        Check that each of *blobs*, which *target* needs, can be had.

        Raises:
            ImgsyncError: A source that leaves out blobs lacks one, and so does the destination.
        """
        if self._context.check_parts is not None:
            self._context.check_parts(self._make_client(target.repository), target.reference, blobs)

    def is_uncompared(self, target: Target) -> bool:
        """Return whether the destination requires credentials we lack."""
        return target.repository.registry in self._context.destination_tags.uncompared

    def get_referrer_note(self, target: Target, digest: str) -> str:
        """Return which referrer tags *digest* had when it was copied there."""
        return self._state.get_referrer_tags(str(target.repository), digest)

    def find_referrer_gaps(self, target: Target, digest: str, referrers: Referrers) -> ReferrerGaps | None:
        """Return what the destination lacks of *referrers* of *digest*."""
        if not referrers:
            return None
        # A run without changes compares no referrers; docs/decisions/0006.
        from imgsync.images.referrer_gaps import find_gaps

        pushed_tags = parse_note(self.get_referrer_note(target, digest))
        return find_gaps(self._make_client(target.repository), target.repository, referrers, pushed_tags=pushed_tags)

    def count_missing_content(self, target: Target, digest: str, *, source: Repository, client: ImageStore) -> int:
        """Return how many manifests and blobs of *digest* are missing."""
        repository = target.repository
        content = self._context.content.check_content(
            self._make_client(repository),
            target.reference,
            target.own_digest or digest,
            limit=self._mirror.concurrency.blobs,
            is_at_source=lambda layer: self._context.external_layers.is_served(client, source, layer),
        )
        for missing in content.missing:
            self._state.forget_blob(repository.registry, repository.path, missing)
        return len(content.missing)

    def describe_left_out(self, target: Target) -> tuple[str, ...]:
        """Return what the served image lacks on purpose, if it was checked."""
        content = self._context.content.get(target.reference)
        if content is None:
            return ()
        requested = [parse_platform(text) for text in self._mirror.platforms or ()]
        return describe_left_out(() if content.platforms is None else find_missing(requested, content.platforms), content.absent)

    def _open_ahead(self, client: ImageStore) -> None:
        """Open connections for the copies of tags that were looked up."""
        copies = min(self._lacking[client.registry], self._copies_at_once)
        client.open_ahead(copies * self._mirror.concurrency.blobs)

    def _make_client(self, repository: Repository) -> ImageStore:
        return self._context.registries.make_destination_client(repository.registry, self._mirror, check=self._context.stop.raise_if_requested)
