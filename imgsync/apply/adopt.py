"""Record tags that already match at the destination."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from imgsync.config.model import Mirror
from imgsync.plan.context import PlanContext
from imgsync.plan.model import Change
from imgsync.state import Record


def adopt_kept_tag(change: Change, record: Record | None, mirror: Mirror, *, owner: str, context: PlanContext) -> Record | None:
    """
    Return the new record of a kept tag, if any.

    There is none if *record*, the existing one, says the same and has *owner* as its mirror, or if this run did not check the image against its
    policies: a saved plan proves nothing. A tag that imgsync did not push has no `applied_at`, so that it is never pruned.
    """
    if change.destination_digest is None or change.source_digest is None:
        return None
    known = record if record is not None and record.digest == change.destination_digest else None
    read = context.manifests.get(change.destination_digest, change.source.repository)
    crc32 = read.crc32 if read is not None else known.crc32 if known is not None else ""
    source = change.source.repository
    selection = context.policy.describe_settings(mirror, source)
    if known is not None and (known.source_digest, known.selection, known.crc32) == (change.source_digest, selection, crc32):
        # An earlier version did not record the mirror.
        return None if known.mirror == owner else replace(known, mirror=owner)
    if not context.policy.has_passed(mirror, source, change.source_digest):
        return None
    return Record(
        destination=str(change.destination),
        digest=change.destination_digest,
        crc32=crc32,
        size_bytes=change.size_bytes or 0,
        media_type=change.media_type or "",
        source=str(change.source),
        source_digest=change.source_digest,
        selection=selection,
        applied_at=known.applied_at if known is not None else "",
        mirror=owner,
    )


def summarize_referrers(change: Change, mirror: Mirror, *, context: PlanContext) -> Iterator[tuple[str, str, str]]:
    """
    Yield which referrers the source had, in the form of `StateStore.put`.

    A later run compares this with a new listing, and so sees a signature that was added meanwhile.
    """
    repository, digest = str(change.destination.repository), change.source_digest or ""
    note = context.referrers.make_note(change.source.repository, digest, context.state.get_referrer_tags(repository, digest))
    if note is not None and mirror.referrers is not False:
        yield repository, digest, note
