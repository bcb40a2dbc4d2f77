"""imgsync.bundle-summary/v1: what `bundle create` wrote."""

from __future__ import annotations

from typing import Any

from imgsync.bundle.model import Bundle
from imgsync.bundle.summary import BundleSummary

FORMAT = "imgsync.bundle-summary/v1"


def encode_bundle_summary(summary: BundleSummary) -> dict[str, Any]:
    """Return *summary* as the fields of imgsync.bundle-summary/v1."""
    bundle = summary.bundle
    return {
        "format": FORMAT,
        "plan_id": summary.plan_id,
        "folder": summary.folder,
        "bundle": _encode_bundle(bundle) if bundle is not None else None,
        "left_out": [{"destination": str(destination), "reason": reason} for destination, reason in summary.left_out],
        "bytes_read": summary.bytes_read,
        "seconds": summary.seconds,
        "sign": summary.signing_command or None,
        "stopped": summary.stopped or None,
        "notes": list(summary.notes),
    }


def _encode_bundle(bundle: Bundle) -> dict[str, Any]:
    return {
        "id": bundle.id,
        "parent": bundle.parent or None,
        "inventory": bundle.inventory or None,
        "images": len(bundle.images),
        "blobs": len(bundle.blobs),
        "expects": len(bundle.expects),
        "size_bytes": bundle.size_bytes,
        "volumes": [{"file": volume.file, "size_bytes": volume.size_bytes} for volume in bundle.volumes],
    }
