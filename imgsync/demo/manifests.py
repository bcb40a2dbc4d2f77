"""Read what the embedded registry must know of a manifest."""

from __future__ import annotations

import json
from typing import Any

from imgsync.demo.responses import ErrorResponse


def read_references(raw: bytes) -> list[str]:
    """Return the digests that a manifest references, other than its subject."""
    try:
        document = json.loads(raw)
        entries = [document.get("config") or {}, *document.get("layers", ()), *document.get("manifests", ())]
        return [entry["digest"] for entry in entries if entry]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ErrorResponse(400, "MANIFEST_INVALID", "the manifest cannot be read") from error


def read_subject(raw: bytes) -> str:
    """Return the digest of a manifest's subject, "" without one."""
    subject = json.loads(raw).get("subject")
    return str(subject["digest"]) if subject else ""


def describe_referrer(digest: str, media_type: str, raw: bytes) -> dict[str, Any]:
    """Return the descriptor of a manifest for the referrers API."""
    document = json.loads(raw)
    kind = document.get("artifactType") or (document.get("config") or {}).get("mediaType")
    entry = {"mediaType": media_type, "digest": digest, "size": len(raw), "artifactType": kind, "annotations": document.get("annotations")}
    return {key: value for key, value in entry.items() if value}
