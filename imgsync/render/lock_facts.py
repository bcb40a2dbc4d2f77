"""What is said about the changes of a lock, in every form."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from imgsync.oci.spec.digest import shorten_digest
from imgsync.plan.lock_changes import LockAction, LockChange, LockResult
from imgsync.text.units import format_bytes, format_count, format_duration, parse_timestamp

_DAY_SECONDS = 86400.0


def format_digests(change: LockChange) -> str:
    """Return the locked and the new digest of *change*, shortened."""
    old, new = (shorten_digest(digest) if digest else "" for digest in (change.locked_digest, change.source_digest))
    if change.action in {LockAction.DROP, LockAction.KEEP, LockAction.MISMATCH}:
        return old
    return f"{old} → {new}" if old and old != new else new


def format_age(change: LockChange, now: str) -> str:
    """Return how old the new digest is, "" if unknown."""
    moment, word = (change.created_at, "created") if change.created_at else (change.first_seen, "first seen")
    since, at = parse_timestamp(moment or ""), parse_timestamp(now) or datetime.now(UTC)
    if since is None or since > at:
        return ""
    seconds = (at - since).total_seconds()
    age = f"{int(seconds // _DAY_SECONDS)}d" if seconds >= 2 * _DAY_SECONDS else format_duration(seconds)
    return f"{word} {age} ago"


def format_size(change: LockChange) -> str:
    """Return the size of the new image, "" if unknown."""
    return format_bytes(change.size_bytes) if change.size_bytes is not None else ""


def format_signers(change: LockChange) -> str:
    """Return who signed the new image, "" if unknown."""
    return " or ".join(change.signed_by)


def format_lock_summary(found: LockResult) -> str:
    """Return the result in a sentence or two."""
    counts = found.counts
    words = {
        LockAction.ADD: "to add" if found.is_check else "added",
        LockAction.UPDATE: "to update" if found.is_check else "updated",
        LockAction.DROP: "to drop" if found.is_check else "dropped",
        LockAction.HOLD: "held",
        LockAction.REFUSE: "refused",
        LockAction.MISMATCH: "not served by the source",
    }
    parts = [f"{counts[action]} {word}" for action, word in words.items() if counts[action]]
    parts += [format_count(len(found.errors), "error")] if found.errors else []
    counted = ", ".join([f"{format_count(found.locked, 'image')} locked", *parts])
    return f"{_format_verdict(found)}: {counted} ({format_duration(found.seconds)})."


def find_lock_hint(found: LockResult) -> str:
    """Return what to do next, "" if nothing."""
    if found.errors:
        return ""
    if found.counts[LockAction.MISMATCH]:
        wrong = next(change for change in found.changes if change.action is LockAction.MISMATCH)
        return f"take the digest that the tag has now: imgsync lock --update --only {wrong.mirror} --image '{wrong.image}'"
    if not found.is_check or not found.changed:
        return ""
    return f"run `imgsync lock{' --update' if found.counts[LockAction.UPDATE] else ''}`, review the difference and commit it"


def list_reasons(change: LockChange, now: str) -> Iterator[str]:
    """Yield the digests, the reason, and facts about the new digest."""
    yield from filter(None, (format_digests(change), change.reason, format_age(change, now)))
    if change.signed_by:
        yield f"signed by {format_signers(change)}"


def _format_verdict(found: LockResult) -> str:
    if found.errors:
        return "Not everything could be locked"
    if found.counts[LockAction.MISMATCH]:
        return "Not all locked digests are at the source"
    if not found.changed:
        return "Up to date"
    files = format_count(len(found.changed), "file")
    return f"{files} would change" if found.is_check else f"{files} written"
