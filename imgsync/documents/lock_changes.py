"""imgsync.lock-changes/v1: what `imgsync lock` changed, or would change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imgsync.documents.envelope import encode_errors
from imgsync.documents.json_stream import Rows
from imgsync.plan.lock_changes import LockChange, LockResult

FORMAT = "imgsync.lock-changes/v1"


def encode_lock_changes(found: LockResult, clean: Callable[[Any], Any]) -> dict[str, Any]:
    """Return *found* as a document; *clean* removes secrets from values."""
    head = {
        "format": FORMAT,
        "created_at": found.created_at,
        "check": found.is_check,
        "summary": {
            "locked": found.locked,
            **{action.value: count for action, count in found.counts.items()},
            "error": len(found.errors),
            "seconds": found.seconds,
        },
        "files": [
            {"mirror": lock.mirror, "file": lock.file, "changed": lock.file in found.changed, "images": len(lock.images), "notes": list(lock.notes)}
            for lock in found.locks
        ],
        "errors": encode_errors(found.errors),
        "notes": list(found.notes),
    }
    # The changes may be a million.
    return {**clean(head), "changes": Rows(lambda: (clean(_encode_change(change)) for change in found.changes))}


def _encode_change(change: LockChange) -> dict[str, Any]:
    fields = {name: getattr(change, name) for name in change.__slots__}
    return fields | {"action": change.action.value, "signed_by": list(change.signed_by)}
