"""Kept tags become remembered: what a destination serves already is noted, with nothing copied and nobody asked."""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.config.model import Mirror
from imgsync.oci.spec.reference import parse_reference
from imgsync.plan.context import Inquiry
from imgsync.plan.model import Change
from imgsync.state import Record


def adopted(change: Change, record: Record | None, mirror: Mirror, *, inquiry: Inquiry) -> Record | None:
    """
    Return what is to be remembered of the kept tag of *change*, None when *record*, what is remembered of it now, says it already.

    Nor is anything remembered that was not found, in this run, to satisfy what is required of it: a saved plan vouches for nothing.
    A tag that was not pushed by us has no `applied_at`, so that nobody takes it for ours and prunes it.
    """
    if change.destination_digest is None or change.source_digest is None:
        return None
    known = record if record is not None and record.digest == change.destination_digest else None
    read = inquiry.manifests.get(change.destination_digest)
    crc32 = read.crc32 if read is not None else known.crc32 if known is not None else ""
    source = parse_reference(change.source).repository
    selection = inquiry.gate.selection(mirror, source)
    if known is not None and (known.source_digest, known.selection, known.crc32) == (change.source_digest, selection, crc32):
        return None
    if not inquiry.gate.has_passed(mirror, source, change.source_digest):
        return None
    return Record(
        destination=change.destination,
        digest=change.destination_digest,
        crc32=crc32,
        size_bytes=change.size_bytes or 0,
        media_type=change.media_type or "",
        source=change.source,
        source_digest=change.source_digest,
        selection=selection,
        applied_at=known.applied_at if known is not None else "",
    )


def referrers_seen(change: Change, mirror: Mirror, *, inquiry: Inquiry) -> Iterator[tuple[str, str, str]]:
    """Yield which tags of referrers the source had, as `StateStore.put` takes them, so that a signature made later is seen in its listing."""
    source, destination = parse_reference(change.source), parse_reference(change.destination)
    summary = inquiry.referrers.summary(source.repository, change.source_digest or "")
    if summary is not None and mirror.referrers is not False:
        yield str(destination.repository), change.source_digest or "", summary
